/** Watching who is on line. */
import { expect, test } from 'vitest';
import type { ConversationId } from '../../src/index.js';
import { directConversation, ErrorCode, Opcode } from '../../src/index.js';
import * as pb from '../../src/pb.js';
import { ME, PEER, wireError } from '../support/model.js';
import { World } from '../support/world.js';

const withUser = (other: string) => directConversation(ME, other) as ConversationId;

/** A live client who talks to these people. */
function talkingTo(others: readonly string[]): World {
  const world = World.live();
  for (const other of others) {
    world.server.say(withUser(other), other, 'hello', true);
  }
  world.run();
  world.server.seen = [];
  world.events = [];
  return world;
}

function result(world: World, token: number) {
  const told = world.events.find((it) => it.kind === 'watching' && it.token === token);
  return told?.kind === 'watching'
    ? told.people.map(({ user, watched }) => [user, watched])
    : world.reply(token);
}

const asked = (world: World) =>
  world.server.seen.filter((opcode) => opcode === Opcode.WatchPresence).length;
const heard = (world: World) => world.events.filter(({ kind }) => kind === 'presence').length;

test('who may be watched is watched and the others are named', () => {
  const stranger = '36864';
  const world = talkingTo([PEER]);
  world.core.watchPresence(world.nowMs, 3, [stranger, PEER, ME, PEER]);
  world.run();
  expect(result(world, 3)).toEqual([
    [stranger, false],
    [PEER, true],
    [ME, false],
  ]);
  expect(world.server.watched).toEqual([PEER]);
  expect(asked(world)).toBe(1);
  expect(world.events).toContainEqual({
    kind: 'presence',
    presences: [{ user: PEER, online: true, lastSeenMs: 0 }],
  });
  // Once something is said, they are watched without another call.
  world.server.say(withUser(stranger), stranger, 'now we talk', true);
  world.run();
  expect(world.server.watched).toEqual([stranger, PEER]);
  world.core.watchPresence(world.nowMs, 4, []);
  world.run();
  expect(result(world, 4)).toEqual([]);
  expect(world.server.watched).toEqual([]);
});

test('a refusal that could not be foreseen is for one person only', () => {
  const others = Array.from({ length: 40 }, (_, at) => String((at + 1) << 13));
  const world = talkingTo(others);
  const strange = [others[7], others[39]] as [string, string];
  world.server.strangers.add(strange[0]).add(strange[1]);
  world.core.watchPresence(world.nowMs, 3, others);
  world.run();
  expect(result(world, 3)).toEqual(others.map((user) => [user, !strange.includes(user)]));
  expect(world.server.watched.length).toBe(38);
  // The server may list the conversation a moment later.
  world.server.strangers.clear();
  world.pass(1_000);
  expect(world.server.watched.length).toBe(40);
  const before = asked(world);
  world.pass(100_000);
  expect(asked(world)).toBe(before);
});

test('nobody is watched any more when nobody new may be, and attempts end', () => {
  const other = '36864';
  const world = talkingTo([PEER, other]);
  world.core.watchPresence(world.nowMs, 3, [PEER]);
  world.run();
  world.server.strangers.add(other);
  world.core.watchPresence(world.nowMs, 4, [other]);
  world.run();
  expect(result(world, 4)).toEqual([[other, false]]);
  expect(world.server.watched).toEqual([]);
  world.pass(1_000_000);
  expect(asked(world)).toBeLessThan(20);
});

test('a wish outlives the connection', () => {
  const world = talkingTo([PEER]);
  world.core.watchPresence(world.nowMs, 3, [PEER]);
  world.run();
  world.events = [];
  world.cut();
  world.pass(500);
  expect(world.server.watched).toEqual([PEER]);
  expect(heard(world)).toBe(1);
  // Also one that was made without a connection, or lost with it.
  world.reachable = false;
  world.cut();
  expect(() => world.core.watchPresence(world.nowMs, 4, [])).toThrow(
    expect.objectContaining({ kind: 'offline' }),
  );
  world.reachable = true;
  world.pass(60_000);
  expect(world.server.watched).toEqual([]);
  world.core.watchPresence(world.nowMs, 5, [PEER]);
  world.settle();
  world.cut();
  world.pass(60_000);
  expect(result(world, 5)).toMatchObject({ kind: 'timedOut' });
  expect(world.server.watched).toEqual([PEER]);
});

test('presence that was dropped is asked for again', () => {
  const world = talkingTo([PEER]);
  world.core.watchPresence(world.nowMs, 3, [PEER]);
  world.run();
  world.events = [];
  world.server.push(Opcode.SyncNeeded, pb.SyncNeeded.encode({}));
  world.run();
  expect(asked(world)).toBe(2);
  expect(heard(world)).toBe(1);
});

test('not now is told and tried again', () => {
  const world = talkingTo([PEER]);
  const error = wireError(ErrorCode.RateLimited, 4_000);
  world.server.refusals.push({ opcode: Opcode.WatchPresence, error });
  world.core.watchPresence(world.nowMs, 3, [PEER]);
  world.run();
  expect(result(world, 3)).toMatchObject({ code: ErrorCode.RateLimited });
  world.pass(3_999);
  expect(world.server.watched).toEqual([]);
  world.pass(1);
  expect(world.server.watched).toEqual([PEER]);
});

test('a later call takes the place of one that waits; too many are refused', () => {
  const world = talkingTo([PEER]);
  world.core.watchPresence(world.nowMs, 3, [PEER]);
  world.core.watchPresence(world.nowMs, 4, [PEER]);
  world.run();
  expect(result(world, 3)).toMatchObject({ kind: 'invalid' });
  expect(result(world, 4)).toEqual([[PEER, true]]);
  const many = Array.from({ length: 501 }, (_, at) => String(at + 10_000));
  expect(() => world.core.watchPresence(world.nowMs, 5, many)).toThrow(
    expect.objectContaining({ kind: 'invalid' }),
  );
});
