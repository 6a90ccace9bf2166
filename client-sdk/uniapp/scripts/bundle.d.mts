/** Bundles code that imports from `@hongyan/client`; resolves to the script. */
export function bundle(
  code: string,
  options?: { minify?: boolean; external?: string[] },
): Promise<string>;
