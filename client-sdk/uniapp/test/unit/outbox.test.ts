/** Messages on their way out. */
import { expect, test } from 'vitest';
import { ClientError, ErrorCode, Opcode } from '../../src/index.js';
import { DIRECT, PEER, wireError } from '../support/model.js';
import { config, World } from '../support/world.js';

const last = <T>(list: T[]): T | undefined => list[list.length - 1];

test('a message is kept before it is shown or sent', () => {
  const world = World.live();
  world.storeStalled = true;
  const id = world.send(DIRECT, 'hello');
  world.run();
  expect(world.updates(id)).toEqual([]);
  expect(world.pending()).toEqual([]);
  expect(world.server.sendsSeen).toEqual([]);
  const before = world.batchesDurable;
  world.unstallStore();
  expect(world.batchesDurable).toBeGreaterThan(before);
  expect(world.updates(id)).toMatchObject([
    { kind: 'sending' },
    { kind: 'saved', ack: { seq: 1 } },
  ]);
  expect(world.texts()).toEqual(['hello']);
  expect(world.core.state.outbox.length).toBe(0);
});

test('an unanswered message goes again under the same id', () => {
  const world = World.live();
  const id = world.send(DIRECT, 'hello');
  world.settle();
  world.deliverToServer();
  // The server has it; its answer is lost.
  world.cut();
  world.server.tooOldAfter = 0;
  world.pass(500);
  expect(world.server.conversation(DIRECT).messages.length).toBe(1);
  expect(last(world.updates(id))).toMatchObject({ kind: 'saved', ack: { seq: 1 } });
  expect(world.texts()).toEqual(['hello']);
});

test('a sync that brings the message settles it, also after a kill', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'first', true);
  world.run();
  world.send(DIRECT, 'mine');
  world.settle();
  world.deliverToServer();
  world.restart(true);
  world.server.sendsSeen = [];
  world.run();
  expect(world.texts()).toEqual(['first', 'mine']);
  expect(world.core.state.outbox.length).toBe(0);
  expect(world.server.sendsSeen).toEqual([]);
});

test('resends carry the same id', () => {
  const world = World.live();
  world.server.silent.add(Opcode.Send);
  const id = world.send(DIRECT, 'hello');
  world.pass(16_000);
  world.cut();
  world.pass(1_000);
  expect(world.server.sendsSeen.length).toBeGreaterThanOrEqual(2);
  expect(new Set(world.server.sendsSeen)).toEqual(new Set([id]));
  expect(world.updates(id)).toEqual([{ kind: 'sending' }]);
  world.server.silent.clear();
  world.pass(60_000);
  expect(world.texts()).toEqual(['hello']);
});

test('messages go in order within the window', () => {
  const world = World.live();
  const wanted = Array.from({ length: 200 }, (_, number) => String(number));
  for (const text of wanted) {
    world.send(DIRECT, text);
  }
  world.settle();
  world.deliverToServer();
  expect(world.server.sendsSeen.length).toBe(64);
  world.run();
  expect(world.texts()).toEqual(wanted);
});

test('a refusal for good fails the message and no other', () => {
  const world = World.live();
  world.server.refusals.push({ opcode: Opcode.Send, error: wireError(ErrorCode.InvalidBody, 0) });
  const bad = world.send(DIRECT, 'bad');
  const good = world.send(DIRECT, 'good');
  world.run();
  expect(last(world.updates(bad))).toMatchObject({
    kind: 'failed',
    error: { code: ErrorCode.InvalidBody },
  });
  expect(last(world.updates(good))).toMatchObject({ kind: 'saved' });
  expect(world.pending()).toMatchObject([
    { state: { kind: 'failed', error: { code: ErrorCode.InvalidBody } } },
  ]);
  world.restart(true);
  world.run();
  expect(world.pending()).toMatchObject([{ state: { kind: 'failed' } }]);
  world.core.retry(world.nowMs, bad);
  world.run();
  expect(world.texts()).toEqual(['good', 'bad']);
  expect(() => world.core.retry(world.nowMs, bad)).toThrow(ClientError);
});

test('a failed message can be discarded', () => {
  const world = World.live();
  world.server.refusals.push({ opcode: Opcode.Send, error: wireError(ErrorCode.IdConflict, 0) });
  const id = world.send(DIRECT, 'bad');
  world.run();
  world.core.discard(world.nowMs, id);
  world.run();
  expect(world.pending()).toEqual([]);
  expect(world.stored.all().filter(({ section }) => section === 'outbox')).toEqual([]);
  expect(() => world.core.discard(world.nowMs, id)).toThrow(ClientError);
});

test.each([ErrorCode.RateLimited, ErrorCode.Busy, ErrorCode.StoreUnavailable, ErrorCode.Internal])(
  'a refusal for now (%i) waits as long as it says',
  (code) => {
    const world = World.live();
    world.server.refusals.push({ opcode: Opcode.Send, error: wireError(code, 5_000) });
    const id = world.send(DIRECT, 'patience');
    world.pass(4_999);
    expect(world.server.sendsSeen.length).toBe(1);
    expect(world.updates(id)).toEqual([{ kind: 'sending' }]);
    world.pass(5_000);
    expect(world.texts()).toEqual(['patience']);
  },
);

test('after a refusal for now the oldest goes alone', () => {
  const world = World.live();
  world.server.refusals.push({ opcode: Opcode.Send, error: wireError(ErrorCode.Busy, 1_000) });
  for (let number = 0; number < 10; number++) {
    world.send(DIRECT, String(number));
  }
  // One window passes it, and once only.
  world.run();
  world.server.sendsSeen = [];
  world.server.refusals.push({ opcode: Opcode.Send, error: wireError(ErrorCode.Busy, 1_000) });
  for (let number = 10; number < 20; number++) {
    world.send(DIRECT, String(number));
  }
  world.pass(1_200);
  expect(new Set(world.server.sendsSeen).size).toBe(1);
  world.pass(10_000);
  expect(world.texts().slice(-11)).toEqual([
    '0',
    ...Array.from({ length: 10 }, (_, n) => `${n + 10}`),
  ]);
});

test('after a restart the oldest goes alone', () => {
  const world = World.live();
  world.reachable = false;
  world.cut();
  for (let number = 0; number < 5; number++) {
    world.send(DIRECT, String(number));
  }
  world.settle();
  world.restart(false);
  world.reachable = true;
  world.pass(1_000);
  world.server.silent.add(Opcode.Send);
  expect(world.texts()).toEqual(['0', '1', '2', '3', '4']);
});

test('an internal error without a hint is final', () => {
  const world = World.live();
  world.server.refusals.push({ opcode: Opcode.Send, error: wireError(ErrorCode.Internal, 0) });
  const id = world.send(DIRECT, 'x');
  world.run();
  expect(last(world.updates(id))).toMatchObject({ kind: 'failed' });
});

test('a full outbox says so', () => {
  const world = World.live(config({ outboxMax: 3 }));
  world.server.silent.add(Opcode.Send);
  for (let number = 0; number < 3; number++) {
    world.send(DIRECT, 'x');
  }
  expect(() => world.send(DIRECT, 'x')).toThrow(expect.objectContaining({ kind: 'outboxFull' }));
  world.server.silent.clear();
  world.pass(60_000);
  world.send(DIRECT, 'x');
});

test('what cannot be sent is refused here', () => {
  const world = World.live();
  const invalid = expect.objectContaining({ kind: 'invalid' });
  expect(() => world.send(DIRECT, '')).toThrow(invalid);
  expect(() => world.send(DIRECT, '鸿'.repeat(5_462))).toThrow(invalid);
  expect(() => world.send('d:5:6', 'x')).toThrow(invalid);
  const offline = expect.objectContaining({ kind: 'offline' });
  expect(() => new World().send(DIRECT, 'x')).toThrow(offline);
});

test('a store that fails refuses messages and keeps the rest going', () => {
  const world = World.live();
  const id = world.send(DIRECT, 'lost');
  const batch = world.core.pollStore();
  world.core.handleStored(world.nowMs, batch?.ticket ?? 0, 'disk full');
  world.run();
  expect(world.updates(id)).toMatchObject([
    { kind: 'dropped', error: { kind: 'storage', message: 'disk full' } },
  ]);
  expect(() => world.send(DIRECT, 'x')).toThrow(expect.objectContaining({ kind: 'storage' }));
  world.server.say(DIRECT, PEER, 'still here', true);
  world.run();
  expect(world.texts()).toEqual(['still here']);
  world.server.accessToken = 'another';
  world.cut();
  world.pass(1_000);
  expect(world.status.kind).toBe('live');
});

test("the peer's cursors tell how far a message got", () => {
  const world = World.live();
  world.send(DIRECT, 'one');
  world.send(DIRECT, 'two');
  world.run();
  const states = () => world.view().items.map(({ state }) => state);
  expect(states()).toEqual([
    { kind: 'saved', level: 'durable' },
    { kind: 'saved', level: 'durable' },
  ]);
  world.server.peerMoves(DIRECT, 2, 1);
  world.run();
  expect(states()).toEqual([
    { kind: 'read', by: 1 },
    { kind: 'delivered', by: 1 },
  ]);
});

test('a power cut never brings back more than the server remembers', () => {
  const world = World.live();
  for (let number = 0; number < 1_000; number++) {
    world.send(DIRECT, String(number));
  }
  world.run();
  expect(world.core.state.outbox.length).toBe(0);
  const left = world.durable.all().filter(({ section }) => section === 'outbox');
  expect(left.length).toBeLessThanOrEqual(64);
  world.server.tooOldAfter = 0;
  world.restart(true);
  world.run();
  expect(world.server.conversation(DIRECT).messages.length).toBe(1_000);
});
