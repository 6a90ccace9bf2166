// Takes the TypeScript out of the READMEs, for a test that compiles it.
import { readFileSync } from 'node:fs';

/** The snippets of a page: where each would lie, and what it says. */
export function snippets(page) {
  const text = readFileSync(page, 'utf8');
  const found = [];
  for (const [, language, code] of text.matchAll(/^```(ts|vue)\n([\s\S]*?)^```$/gm)) {
    const place = /^(?:\/\/|<!--) (src\/\S+)/.exec(code)?.[1];
    const script =
      language === 'ts' ? code : /<script setup lang="ts">\n([\s\S]*?)<\/script>/.exec(code)?.[1];
    if (script === undefined) {
      throw new Error(`${page}: a snippet without a script`);
    }
    found.push({
      place: (place ?? `src/snippet${found.length}`).replace(/\.(ts|vue)$/, ''),
      script,
    });
  }
  return found;
}
