// A bundle as the mini-program build makes one: one script, old syntax, no
// modules. Used by the size check and by the sandbox test.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Bundles `code`, which imports from `@hongyan/client`; returns the script. */
export async function bundle(code, { minify = false, external = [] } = {}) {
  const result = await build({
    stdin: { contents: code, resolveDir: root, loader: 'js' },
    bundle: true,
    write: false,
    minify,
    external,
    format: 'iife',
    target: 'es2016',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    plugins: [
      {
        name: 'entries',
        setup(it) {
          it.onResolve({ filter: /^@hongyan\/client/ }, ({ path }) => {
            const entry = path.slice('@hongyan/client'.length + 1) || 'index';
            return { path: join(root, 'dist', `${entry}.js`), sideEffects: false };
          });
        },
      },
    ],
  });
  return result.outputFiles[0].text;
}
