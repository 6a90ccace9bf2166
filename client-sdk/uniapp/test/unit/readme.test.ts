/** The snippets of the READMEs are compiled, as an app would. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { snippets } from '../../scripts/snippets.mjs';

const ROOT = resolve(import.meta.dirname, '../..');

/** As much of uni-app's own types as the snippets use. */
const UNI_APP = `
declare module '@dcloudio/uni-app' {
  export function onShow(hook: () => void): void;
  export function onHide(hook: () => void): void;
  export function onLoad(hook: (query?: Record<string, string | undefined>) => void): void;
}
declare const uni: {
  navigateTo(options: { url: string }): void;
  redirectTo(options: { url: string }): void;
};
`;

function compile(page: string): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'hongyan-readme-'));
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
    const files = snippets(join(ROOT, page)).map(({ place, script }) => {
      const file = join(dir, `${place}.ts`);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, script);
      return file;
    });
    expect(files.length).toBeGreaterThanOrEqual(9);
    writeFileSync(join(dir, 'uni-app.d.ts'), UNI_APP);
    const program = ts.createProgram([...files, join(dir, 'uni-app.d.ts')], {
      target: ts.ScriptTarget.ES2020,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      lib: ['lib.es2020.d.ts', 'lib.dom.d.ts'],
      types: ['ws'],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      baseUrl: dir,
      paths: {
        '@hongyan/client': [join(ROOT, 'src/index.ts')],
        '@hongyan/client/*': [join(ROOT, 'src/*.ts')],
      },
    });
    return ts
      .getPreEmitDiagnostics(program)
      .map(
        ({ file, messageText }) =>
          `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
      );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

test.each(['README.md', 'README.zh-CN.md'])('%s compiles', (page) => {
  expect(compile(page)).toEqual([]);
});

test('both pages show the same code, comments and texts aside', () => {
  const bare = (page: string) =>
    snippets(join(ROOT, page)).map(({ place, script }) => [
      place,
      script
        .replace(/'[^']*'|`[^`]*`/g, "''")
        .replace(/\/\/.*|\/\*\*[\s\S]*?\*\//g, '')
        .replace(/\s+/g, ' '),
    ]);
  expect(bare('README.zh-CN.md')).toEqual(bare('README.md'));
});
