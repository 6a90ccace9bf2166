// Makes src/gen from protocol/proto: TypeScript that encodes and decodes, on
// the reader and writer in src/wire instead of a library's, because those need
// `globalThis` and a text codec that mini-programs lack.
//
// The bodies of messages stay encoded (`bytes` and `Body` are the same on the
// wire), so that what a newer client put into one survives byte for byte.
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = join(root, 'node_modules', '.bin');
const out = join(root, 'src', 'gen');
const work = mkdtempSync(join(tmpdir(), 'hongyan-proto-'));

const options = [
  'forceLong=string',
  'unknownFields=true',
  'outputJsonMethods=false',
  'outputPartialMethods=false',
  'outputServices=none',
  'enumsAsLiterals=true',
  'unrecognizedEnum=false',
  'exportCommonSymbols=false',
  'annotateFilesWithVersion=false',
  'importSuffix=.js',
  'env=browser',
  'useExactTypes=false',
];

try {
  cpSync(join(root, '..', '..', 'protocol', 'proto'), work, { recursive: true });
  const conversation = join(work, 'conversation.proto');
  const text = readFileSync(conversation, 'utf8');
  const raw = text.replace(/^ {2}Body body = /gm, '  bytes body = ');
  if (raw.split('bytes body').length !== 3) {
    throw new Error('conversation.proto no longer has the two bodies that stay encoded');
  }
  writeFileSync(conversation, raw);
  writeFileSync(
    join(work, 'buf.gen.yaml'),
    `version: v2\nplugins:\n  - local: protoc-gen-ts_proto\n    out: out\n    opt: [${options.join(', ')}]\n`,
  );
  execFileSync(join(bin, 'buf'), ['generate'], {
    cwd: work,
    stdio: 'inherit',
    env: { ...process.env, PATH: bin + delimiter + process.env.PATH },
  });
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  for (const name of readdirSync(join(work, 'out'))) {
    const code = readFileSync(join(work, 'out', name), 'utf8');
    // `globalThis` does not exist in some mini-programs. frame.proto has a
    // message named Error, so the error that is thrown has a name of its own.
    const adapted = code
      .replace(
        'BinaryWriter } from "@bufbuild/protobuf/wire"',
        'BinaryWriter, WireError } from "../wire/wire.js"',
      )
      .replaceAll('new globalThis.Error(', 'new WireError(')
      .replaceAll('globalThis.Object.', 'Object.');
    if (/globalThis|@bufbuild|BigInt|eval\(/.test(adapted)) {
      throw new Error(`${name}: generated code needs what a mini-program lacks`);
    }
    writeFileSync(join(out, name), adapted);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
