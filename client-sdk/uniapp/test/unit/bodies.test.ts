/** Bodies of newer clients keep their bytes, whichever way they come. */
import { expect, test } from 'vitest';
import type { Body } from '../../src/index.js';
import { readBody, writeBody } from '../../src/model/wire.js';
import { utf8Encode } from '../../src/wire/utf8.js';
import { DIRECT, PEER } from '../support/model.js';
import { World } from '../support/world.js';

const text = utf8Encode('hi');
const plain = Uint8Array.from([0x0a, text.length, ...text]);
/** With field 99 behind the text, a kind of its own, nothing, and no message at all. */
const NEWER = [
  Uint8Array.from([...plain, 0x98, 0x06, 7]),
  Uint8Array.from([0xfa, 0x01, 1, 9]),
  Uint8Array.from([]),
  Uint8Array.from([0xff]),
  // Text that is no UTF-8.
  Uint8Array.from([0x0a, 1, 0xff]),
];

test('what is known of a body is read, and the rest is kept', () => {
  expect(readBody(plain)).toEqual({ body: { kind: 'text', text: 'hi' }, newerBody: undefined });
  for (const [at, encoded] of NEWER.entries()) {
    const { body, newerBody } = readBody(encoded);
    expect(body.kind).toBe(at === 0 ? 'text' : 'unknown');
    // Nothing says all that an empty body says.
    expect(newerBody).toEqual(encoded.length === 0 ? undefined : encoded);
  }
});

test('all kinds survive writing and reading', () => {
  const bodies: Body[] = [
    { kind: 'text', text: '你好 👩‍🚀' },
    { kind: 'opaque', contentType: 'image/png', data: new Uint8Array([0, 255]), summary: '[图]' },
    {
      kind: 'event',
      event: {
        kind: 'invited',
        actor: '18446744073709551615',
        users: ['1', '2'],
        userCount: 2,
        name: '',
        role: 'unknown',
      },
    },
  ];
  for (const body of bodies) {
    expect(readBody(writeBody(body))).toEqual({ body, newerBody: undefined });
  }
});

/** The bodies that the client holds, as their bytes. */
const held = (world: World) =>
  world
    .view()
    .items.flatMap(({ message }) => message ?? [])
    .map(({ body, newerBody }) => Buffer.from(newerBody ?? writeBody(body)).toString('hex'));

const wanted = NEWER.map((body) => Buffer.from(body).toString('hex'));

function say(world: World, push: boolean): void {
  for (const body of NEWER) {
    world.server.sayBody(DIRECT, PEER, body, push);
  }
}

test('by pushes and after a restart', () => {
  const world = World.live();
  say(world, true);
  world.run();
  expect(held(world)).toEqual(wanted);
  world.restart(false);
  expect(held(world)).toEqual(wanted);
});

test('by a sync', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'hi', true);
  world.run();
  world.cut();
  say(world, false);
  world.pass(1_000);
  expect(held(world)).toEqual([Buffer.from(plain).toString('hex'), ...wanted]);
});

test('by the history that fills a gap, and by older pages', () => {
  const world = World.live();
  say(world, false);
  world.server.say(DIRECT, PEER, 'hi', true);
  world.pass(1_000);
  expect(held(world).slice(0, -1)).toEqual(wanted);
  const fresh = World.live();
  say(fresh, false);
  for (let number = 0; number < 5; number++) {
    fresh.server.say(DIRECT, PEER, 'hi', false);
  }
  fresh.server.conversation(DIRECT).delivered.set('4097', 10);
  fresh.cut();
  fresh.pass(1_000);
  while (fresh.view().hasOlder) {
    fresh.core.loadOlder(fresh.nowMs, 9, DIRECT, 3);
    fresh.run();
  }
  expect(held(fresh).slice(0, NEWER.length)).toEqual(wanted);
});
