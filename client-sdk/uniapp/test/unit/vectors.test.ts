/** The frames of protocol/vectors, byte for byte. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ErrorCode } from '../../src/errorCode.js';
import { Opcode } from '../../src/index.js';
import * as pb from '../../src/pb.js';
import { CLIENT_PREFACE, delimited, StreamDecoder } from '../../src/transport/framing.js';
import { Random } from '../support/random.js';
import { World } from '../support/world.js';

const DIR = resolve(import.meta.dirname, '../../../../protocol/vectors');
const DOCUMENT = resolve(import.meta.dirname, '../../../../docs/PROTOCOL.md');
const names = (dir: string) =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.bin') && !name.startsWith('schema'))
    .map((name) => basename(name, '.bin'));

interface Vector {
  readonly opcode: number;
  readonly request?: string;
  readonly message: string;
  readonly payload: unknown;
  readonly exact: boolean;
}

interface Codec {
  decode(bytes: Uint8Array): unknown;
  encode(message: unknown): { finish(): Uint8Array };
}

function frames(bytes: Uint8Array): Uint8Array[] {
  const decoder = new StreamDecoder();
  decoder.push(CLIENT_PREFACE);
  return decoder.push(bytes);
}

/** Compares a decoded message with protobuf's JSON mapping of it. */
function check(wanted: unknown, found: unknown, path: string): void {
  if (found instanceof Uint8Array && typeof wanted === 'object' && wanted !== null) {
    // Bodies stay encoded.
    return check(wanted, pb.Body.decode(found), path);
  }
  if (found instanceof Uint8Array) {
    expect(Buffer.from(found).toString('base64'), path).toBe(wanted ?? '');
  } else if (Array.isArray(found)) {
    const list = (wanted ?? []) as unknown[];
    expect(found.length, path).toBe(list.length);
    found.forEach((item, at) => {
      check(list[at], item, `${path}[${at}]`);
    });
  } else if (typeof found === 'object' && found !== null) {
    checkFields((wanted ?? {}) as object, found, path);
  } else if (typeof wanted === 'string' && typeof found === 'number') {
    expect(enumNumber(wanted), path).toBe(found);
  } else if (wanted === undefined) {
    expect([undefined, 0, '0', '', false], path).toContain(found);
  } else {
    expect(found, path).toBe(wanted);
  }
}

function checkFields(wanted: object, found: object, path: string): void {
  const { _unknownFields, ...fields } = found as Record<string, unknown>;
  for (const [name, value] of Object.entries(fields)) {
    check((wanted as Record<string, unknown>)[name], value, `${path}.${name}`);
  }
  for (const name of Object.keys(wanted)) {
    expect(fields, path).toHaveProperty(name);
  }
}

function enumNumber(name: string): number | undefined {
  const enums = [pb.AckLevel, pb.DeviceClass, pb.Role, pb.HistoryRule, pb.GroupEvent_Kind];
  for (const values of enums as readonly Record<string, number>[]) {
    if (name in values) {
      return values[name];
    }
  }
  return undefined;
}

test.each(names(DIR))('%s', (name) => {
  const bytes = new Uint8Array(readFileSync(resolve(DIR, `${name}.bin`)));
  const vector: Vector = JSON.parse(readFileSync(resolve(DIR, `${name}.json`), 'utf8'));
  const [encoded] = frames(bytes);
  expect(encoded).toBeDefined();
  if (vector.opcode === Opcode.Heartbeat) {
    expect(encoded?.length).toBe(0);
    return;
  }
  const frame = pb.Frame.decode(encoded as Uint8Array);
  expect(frame.opcode).toBe(vector.opcode);
  expect(frame.request).toBe(vector.request ?? '0');
  const codec = (pb as unknown as Record<string, Codec>)[vector.message] as Codec;
  const message = codec.decode(frame.payload);
  check(vector.payload, message, vector.message);
  const again = codec.encode(message).finish();
  if (vector.exact) {
    expect(Buffer.from(again)).toEqual(Buffer.from(frame.payload));
    expect(Buffer.from(delimited(pb.Frame.encode(frame).finish()))).toEqual(Buffer.from(bytes));
  } else {
    // In another order perhaps, but nothing is lost.
    expect(again.length).toBe(frame.payload.length);
    expect(codec.decode(again)).toEqual(message);
  }
});

test.each(names(resolve(DIR, 'malformed')))('malformed/%s does not throw', (name) => {
  const bytes = new Uint8Array(readFileSync(resolve(DIR, 'malformed', `${name}.bin`)));
  const world = World.live();
  let goodbye = false;
  for (const frame of tolerant(bytes)) {
    goodbye = goodbye || frame[1] === Opcode.Goodbye;
    world.core.handleFrame(world.nowMs, frame);
  }
  world.core.handleFrame(world.nowMs, bytes);
  world.settle();
  world.pass(60_000);
  // A goodbye that names no code says not to come back.
  expect(world.status.kind).toBe(goodbye ? 'offline' : 'live');
});

function tolerant(bytes: Uint8Array): Uint8Array[] {
  try {
    return frames(bytes);
  } catch {
    return [];
  }
}

test('bytes from a server never throw, whatever they are', () => {
  const random = new Random(20261126);
  const files = names(DIR).map((name) => new Uint8Array(readFileSync(resolve(DIR, `${name}.bin`))));
  const world = World.live();
  for (let round = 0; round < 5_000; round++) {
    const frame = (frames(random.pick(files))[0] ?? new Uint8Array(0)).slice();
    for (let change = random.below(4); change > 0 && frame.length > 0; change--) {
      frame[random.below(frame.length)] = random.below(256);
    }
    world.core.handleFrame(world.nowMs, frame.slice(0, frame.length - random.below(3)));
    world.settle();
    if (world.status.kind !== 'live') {
      world.restart(false);
      world.core.stop(world.nowMs);
      if (world.core.state.tokens === undefined) {
        world.login();
      } else {
        world.core.start(world.nowMs);
      }
      world.run();
    }
  }
  expect(world.status.kind).toBe('live');
});

test('the tables are those of the document', () => {
  const text = readFileSync(DOCUMENT, 'utf8');
  const rows = [...text.matchAll(/^\| (\d+) \| (\w+) \|/gm)].map(([, code, name]) => [
    name,
    Number(code),
  ]);
  const codes = rows.filter(([, code]) => Number(code) >= 100);
  expect(codes).toEqual(Object.entries(ErrorCode));
  const opcodes = rows
    .filter(([name]) => Object.hasOwn(Opcode, String(name)))
    .slice(0, Object.keys(Opcode).length);
  expect(opcodes.map(([name, code]) => [name, code])).toEqual(Object.entries(Opcode));
});
