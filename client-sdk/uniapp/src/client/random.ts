/** Random bytes for ids: unique ones, not secrets. */

declare const crypto: { getRandomValues(bytes: Uint8Array): void } | undefined;

/** So many random bytes. */
export function randomBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  if (typeof crypto !== 'undefined' && typeof crypto.getRandomValues === 'function') {
    crypto.getRandomValues(bytes);
    return bytes;
  }
  // Mini-programs have no such thing: 128 bits of Math.random are unique.
  return bytes.map(() => Math.floor(Math.random() * 256));
}
