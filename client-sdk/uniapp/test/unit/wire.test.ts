/** The reader and writer of the wire format, against a library's. */
import {
  BinaryReader as LibraryReader,
  BinaryWriter as LibraryWriter,
} from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { base64Decode, base64Encode, hexDecode, hexEncode } from '../../src/wire/hex.js';
import { formatUint64, parseUint64 } from '../../src/wire/int64.js';
import { utf8Cut, utf8Decode, utf8Encode, utf8Length } from '../../src/wire/utf8.js';
import { BinaryReader, BinaryWriter } from '../../src/wire/wire.js';
import { Random } from '../support/random.js';

const TEXTS = [
  '',
  'a',
  'é',
  '你好',
  '👩‍🚀 🪿',
  '\u0000\u007f\u0080\u07ff\u0800\uffff',
  'x'.repeat(10_000),
];
const NUMBERS = ['0', '1', '127', '128', '4294967295', '4294967296', '9007199254740991'].concat([
  '9007199254740992',
  '9007199254740993',
  '9223372036854775807',
  '18446744073709551615',
]);

test('text is as the platform encodes it', () => {
  for (const text of TEXTS) {
    const bytes = new TextEncoder().encode(text);
    expect(Buffer.from(utf8Encode(text))).toEqual(Buffer.from(bytes));
    expect(utf8Length(text)).toBe(bytes.length);
    expect(utf8Decode(bytes)).toBe(text);
  }
  // A lone surrogate is no character.
  expect(Buffer.from(utf8Encode('a\ud800b'))).toEqual(
    Buffer.from(new TextEncoder().encode('a\ud800b')),
  );
});

test('bytes that are no UTF-8 are refused as the platform refuses them', () => {
  const random = new Random(7);
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (let round = 0; round < 5_000; round++) {
    const bytes = random
      .bytes(1 + random.below(5))
      .map((byte) => (random.chance(2) ? byte | 0xc0 : byte));
    let wanted: string | undefined;
    let found: string | undefined;
    try {
      wanted = strict.decode(bytes);
    } catch {}
    try {
      found = utf8Decode(bytes);
    } catch {}
    expect(found, hexEncode(bytes)).toBe(wanted);
  }
});

test('text is cut between characters', () => {
  expect(utf8Cut('你好', 5)).toBe('你');
  expect(utf8Cut('🪿🪿', 7)).toBe('🪿');
  expect(utf8Cut('ab', 5)).toBe('ab');
});

test('64-bit numbers are exact', () => {
  for (const text of NUMBERS) {
    const { high, low } = parseUint64(text);
    expect((BigInt(high) << 32n) | BigInt(low)).toBe(BigInt(text));
    expect(formatUint64(high, low)).toBe(text);
  }
  for (const text of ['18446744073709551616', '-1', '', '1.5', 'x', '99999999999999999999']) {
    expect(() => parseUint64(text), text).toThrow();
  }
});

test('what is written is what a library writes', () => {
  for (let round = 0; round < 300; round++) {
    const ours = new BinaryWriter();
    const theirs = new LibraryWriter();
    for (const writer of [ours, theirs] as (BinaryWriter & LibraryWriter)[]) {
      const same = new Random(round + 1);
      write(writer, same, 3);
    }
    expect(Buffer.from(ours.finish())).toEqual(Buffer.from(theirs.finish()));
  }
});

function write(writer: BinaryWriter, random: Random, depth: number): void {
  for (let field = 1 + random.below(6); field > 0; field--) {
    writer.uint32((field << 3) | 2);
    switch (random.below(depth > 0 ? 7 : 6)) {
      case 0:
        writer.string(random.pick(TEXTS));
        break;
      case 1:
        writer.uint64(random.pick(NUMBERS));
        break;
      case 2:
        writer.bytes(random.bytes(random.below(400)));
        break;
      case 3:
        writer.uint32(random.below(0xffffffff));
        break;
      case 4:
        writer.int32(random.below(1000) - 500);
        break;
      case 5:
        writer.bool(random.chance(2));
        break;
      default:
        writer.fork();
        write(writer, random, depth - 1);
        writer.join();
    }
  }
}

test('what is read is what a library reads', () => {
  const random = new Random(13);
  for (let round = 0; round < 5_000; round++) {
    const bytes = random.bytes(12);
    expect(outcome(new BinaryReader(bytes), 'uint64')).toBe(
      outcome(new LibraryReader(bytes), 'uint64'),
    );
    expect(outcome(new BinaryReader(bytes), 'uint32')).toBe(
      outcome(new LibraryReader(bytes), 'uint32'),
    );
  }
});

function outcome(reader: BinaryReader | LibraryReader, kind: 'uint32' | 'uint64'): string {
  try {
    return `${String(reader[kind]())} at ${reader.pos}`;
  } catch {
    return 'refused';
  }
}

test('hexadecimal and base64 are as the platform has them', () => {
  const random = new Random(17);
  for (let length = 0; length < 70; length++) {
    const bytes = random.bytes(length);
    const buffer = Buffer.from(bytes);
    expect(hexEncode(bytes)).toBe(buffer.toString('hex'));
    expect(base64Encode(bytes)).toBe(buffer.toString('base64'));
    expect(Buffer.from(hexDecode(buffer.toString('hex')) ?? [])).toEqual(buffer);
    expect(Buffer.from(base64Decode(buffer.toString('base64')) ?? [])).toEqual(buffer);
  }
  expect(hexDecode('abc')).toBeUndefined();
  expect(hexDecode('zz')).toBeUndefined();
  expect(base64Decode('a')).toBeUndefined();
  expect(base64Decode('a*==')).toBeUndefined();
});
