/** Catching up, gaps, cursors and unread. */
import { expect, test } from 'vitest';
import { compareConversations } from '../../src/core/views.js';
import type { ConversationId } from '../../src/index.js';
import { ErrorCode, Opcode } from '../../src/index.js';
import * as pb from '../../src/pb.js';
import { cursorMoved, DIRECT, group as groupPb, ME, PEER, wireError } from '../support/model.js';
import { config, World } from '../support/world.js';

const groupId = (number: number) => String((number << 12) | 1);
const group = (number: number): ConversationId => `g:${groupId(number)}`;
const count = (world: World, opcode: number) =>
  world.server.seen.filter((seen) => seen === opcode).length;
const syncNeeded = (world: World) => world.server.push(Opcode.SyncNeeded, pb.SyncNeeded.encode({}));

test('a cold start pages through all conversations', () => {
  const world = new World();
  world.server.pageConversations = 3;
  for (let number = 1; number <= 10; number++) {
    world.server.nowMs = number * 1_000;
    world.server.conversation(group(number)).group = groupPb(groupId(number), `group ${number}`);
    world.server.say(group(number), PEER, 'a', false);
    world.server.say(group(number), PEER, 'b', false);
  }
  world.login();
  world.run();
  expect(world.status.kind).toBe('live');
  const list = [...world.core.state.convs.keys()].flatMap(
    (id) => world.core.conversation(id) ?? [],
  );
  list.sort(compareConversations);
  expect(list.map(({ title }) => title).slice(0, 2)).toEqual(['group 10', 'group 9']);
  expect(list.map(({ unread }) => unread)).toEqual(Array(10).fill(2));
});

test('what was missed comes with the session', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'one', true);
  world.run();
  world.reachable = false;
  world.cut();
  world.server.say(DIRECT, PEER, 'two', false);
  world.server.say(DIRECT, PEER, 'three', false);
  world.reachable = true;
  world.pass(1_000);
  expect(world.texts()).toEqual(['one', 'two', 'three']);
  expect(world.heard()).toEqual(['one', 'two', 'three']);
  expect(world.unread()).toBe(3);
  expect(count(world, Opcode.History)).toBe(0);
});

test('too much missed starts a new stretch that pages back', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, '0', true);
  world.run();
  world.reachable = false;
  world.cut();
  world.server.tooOldAfter = 10;
  for (let number = 1; number < 50; number++) {
    world.server.say(DIRECT, PEER, String(number), false);
  }
  world.reachable = true;
  world.pass(1_000);
  expect(world.texts()).toEqual(Array.from({ length: 10 }, (_, at) => String(40 + at)));
  expect(world.view().hasOlder).toBe(true);
  while (world.view().hasOlder) {
    world.core.loadOlder(world.nowMs, 9, DIRECT, 15);
    world.run();
  }
  expect(world.texts()).toEqual(Array.from({ length: 50 }, (_, at) => String(at)));
  expect(world.unread()).toBe(50);
});

test('a lost push is fetched after the grace', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'one', true);
  world.server.say(DIRECT, PEER, 'two', false);
  world.server.say(DIRECT, PEER, 'three', true);
  world.run();
  expect(world.texts()).toEqual(['one']);
  expect(world.view().catchingUp).toBe(true);
  world.pass(299);
  expect(count(world, Opcode.History)).toBe(0);
  world.pass(1);
  expect(world.texts()).toEqual(['one', 'two', 'three']);
  expect(world.view().catchingUp).toBe(false);
  expect(world.unread()).toBe(3);
});

test('a late push needs no fetching', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'one', false);
  world.server.say(DIRECT, PEER, 'two', true);
  world.run();
  world.server.pushMessage(DIRECT, 1);
  world.pass(10_000);
  expect(world.texts()).toEqual(['one', 'two']);
  expect(count(world, Opcode.History)).toBe(0);
});

test('pushes that come twice count once', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'one', true);
  world.server.pushMessage(DIRECT, 1);
  world.run();
  world.server.pushMessage(DIRECT, 1);
  world.run();
  expect(world.heard()).toEqual(['one']);
  expect(world.unread()).toBe(1);
});

test('a gap that the server does not show is closed', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'one', true);
  world.run();
  for (let number = 0; number < 3; number++) {
    world.server.say(DIRECT, PEER, 'hidden', false);
  }
  world.server.conversation(DIRECT).joinedSeq = 6;
  world.server.say(DIRECT, PEER, 'five', true);
  world.pass(60_000);
  expect(world.view().catchingUp).toBe(false);
  expect(count(world, Opcode.History)).toBe(1);
});

test('a late answer about one gap does not give another one up', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'one', true);
  world.server.say(DIRECT, PEER, 'two', false);
  world.server.say(DIRECT, PEER, 'three', true);
  world.run();
  world.nowMs += 300;
  world.core.handleTimeout(world.nowMs);
  world.settle();
  world.deliverToServer();
  const answer = world.server.outgoing.splice(0);
  expect(count(world, Opcode.History)).toBe(1);
  // The lost push comes after all, and another one is lost.
  world.server.pushMessage(DIRECT, 2);
  world.server.say(DIRECT, PEER, 'four', false);
  world.server.say(DIRECT, PEER, 'five', true);
  world.deliverToClient();
  world.server.outgoing.push(...answer);
  world.pass(1_000);
  expect(world.texts()).toEqual(['one', 'two', 'three', 'four', 'five']);
  expect(world.heard()).toEqual(['one', 'two', 'three', 'four', 'five']);
});

test('a wide gap takes the newest page', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, '0', true);
  world.run();
  for (let number = 1; number <= 2_000; number++) {
    world.server.say(DIRECT, PEER, String(number), false);
  }
  world.server.say(DIRECT, PEER, 'last', true);
  world.pass(1_000);
  expect(world.texts().length).toBe(101);
  expect(world.texts().at(-1)).toBe('last');
  expect(world.view().hasOlder).toBe(true);
});

test('dropped pushes bring a sync', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'one', false);
  syncNeeded(world);
  world.run();
  expect(world.texts()).toEqual(['one']);
  expect(world.status.kind).toBe('live');
});

/**
 * The list takes two pages, and the client is about to get the first: behind it
 * comes SyncNeeded, for a message that the page does not have.
 */
function overtakePage(world: World): void {
  world.server.pageConversations = 1;
  world.settle();
  expect(world.deliverToServer()).toBe(true);
  world.server.say(DIRECT, PEER, 'dropped', false);
  syncNeeded(world);
  world.server.seen = [];
}

function withTwoConversations(): World {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'one', true);
  world.server.say(group(1), PEER, 'other', true);
  world.run();
  return world;
}

test('pushes dropped while a sync runs bring another one', () => {
  const world = withTwoConversations();
  syncNeeded(world);
  world.deliverToClient();
  overtakePage(world);
  world.run();
  // The second page, and both pages of the next sync.
  expect(count(world, Opcode.Sync)).toBe(3);
  expect(world.texts()).toEqual(['one', 'dropped']);
  expect(world.status.kind).toBe('live');
});

test('a session is live only after the sync that was wanted meanwhile', () => {
  const world = withTwoConversations();
  world.cut();
  world.core.reconnectNow(world.nowMs);
  overtakePage(world);
  world.events = [];
  expect(world.deliverToClient()).toBe(true);
  world.settle();
  expect(world.deliverToServer()).toBe(true);
  expect(world.deliverToClient()).toBe(true);
  world.settle();
  expect(world.statuses()).toEqual(['syncing']);
  world.run();
  expect(world.statuses()).toEqual(['syncing', 'live']);
  expect(world.texts()).toEqual(['one', 'dropped']);
});

test('a wanted sync is not forgotten when the one before it fails', () => {
  const world = withTwoConversations();
  syncNeeded(world);
  world.deliverToClient();
  overtakePage(world);
  world.server.refusals.push({ opcode: Opcode.Sync, error: wireError(ErrorCode.Busy, 500) });
  world.run();
  expect(world.texts()).toEqual(['one']);
  world.pass(1_000);
  expect(world.texts()).toEqual(['one', 'dropped']);
});

test('a push from an unknown conversation brings a sync', () => {
  const world = World.live();
  for (const text of ['one', 'two', 'three']) {
    world.server.say(group(3), PEER, text, false);
  }
  world.server.pushMessage(group(3), 3);
  world.pass(1_000);
  expect(world.texts(group(3))).toEqual(['one', 'two', 'three']);
  expect(world.heard().length).toBe(3);
});

test('a refused sync is tried again', () => {
  const world = new World();
  world.server.refusals.push({ opcode: Opcode.Sync, error: wireError(ErrorCode.Busy, 2_000) });
  world.login();
  world.pass(1_999);
  expect(world.status.kind).toBe('syncing');
  world.pass(1);
  expect(world.status.kind).toBe('live');
});

test('one delivered mark per conversation and burst', () => {
  const world = World.live();
  world.server.seen = [];
  for (let number = 0; number < 100; number++) {
    world.server.say(DIRECT, PEER, 'x', true);
  }
  world.run();
  expect(count(world, Opcode.MoveCursor)).toBe(1);
  expect(world.server.conversation(DIRECT).delivered.get(ME)).toBe(100);
});

test('a delivered mark that was lost goes again', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'x', true);
  world.deliverToClient();
  world.settle();
  world.cut();
  expect(world.server.conversation(DIRECT).delivered.get(ME)).toBeUndefined();
  world.pass(1_000);
  expect(world.server.conversation(DIRECT).delivered.get(ME)).toBe(1);
});

test('own messages need no delivered mark', () => {
  const world = World.live();
  world.server.seen = [];
  world.send(DIRECT, 'x');
  world.run();
  expect(count(world, Opcode.MoveCursor)).toBe(0);
});

test('reading off line reaches the server later, even after a restart', () => {
  const world = World.live();
  for (let number = 0; number < 5; number++) {
    world.server.say(DIRECT, PEER, 'x', true);
  }
  world.run();
  world.reachable = false;
  world.cut();
  world.core.markRead(world.nowMs, DIRECT, 3);
  world.settle();
  expect(world.unread()).toBe(2);
  world.restart(false);
  expect(world.unread()).toBe(2);
  world.reachable = true;
  world.pass(31_000);
  expect(world.server.conversation(DIRECT).read.get(ME)).toBe(3);
  expect(world.unread()).toBe(2);
});

test('a read mark that is refused for now goes again', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'x', true);
  world.run();
  world.server.refusals.push({
    opcode: Opcode.MoveCursor,
    error: wireError(ErrorCode.Busy, 3_000),
  });
  world.core.markRead(world.nowMs, DIRECT, 1);
  world.run();
  expect(world.server.conversation(DIRECT).read.get(ME) ?? 0).toBe(0);
  world.pass(3_000);
  expect(world.server.conversation(DIRECT).read.get(ME)).toBe(1);
});

test('a read mark beyond the end is cut', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'x', true);
  world.run();
  world.core.markRead(world.nowMs, DIRECT, 100);
  world.run();
  world.server.say(DIRECT, PEER, 'y', true);
  world.run();
  expect(world.unread()).toBe(1);
});

test('reading on another device clears unread here', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'x', true);
  world.run();
  expect(world.unread()).toBe(1);
  world.server.push(Opcode.CursorMoved, cursorMoved(DIRECT, ME, 1, 1));
  world.run();
  expect(world.unread()).toBe(0);
  expect(world.events).toContainEqual({
    kind: 'cursorMoved',
    moved: { conversation: DIRECT, user: ME, deliveredSeq: 1, readSeq: 1 },
  });
});

test('what the user sends elsewhere is read', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'question', true);
  world.server.say(DIRECT, ME, 'answer', true);
  world.run();
  expect(world.unread()).toBe(0);
  expect(world.texts()).toEqual(['question', 'answer']);
});

test('a server that lost the end wins', () => {
  const world = World.live();
  for (const text of ['one', 'two', 'three']) {
    world.server.say(DIRECT, PEER, text, true);
  }
  world.run();
  world.cut();
  world.server.conversation(DIRECT).messages.length = 1;
  world.server.conversation(DIRECT).delivered.clear();
  world.pass(1_000);
  expect(world.texts()).toEqual(['one']);
  world.server.say(DIRECT, PEER, 'another two', true);
  world.run();
  expect(world.texts()).toEqual(['one', 'another two']);
  expect(world.unread()).toBe(2);
  world.restart(false);
  expect(world.texts()).toEqual(['one', 'another two']);
});

test("the peer's name is learned and kept", () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'hello', true);
  world.run();
  expect(world.core.conversation(DIRECT)?.title).toBe('User 8194');
  world.restart(false);
  expect(world.core.conversation(DIRECT)?.title).toBe('User 8194');
});

test('memory and store keep a window', () => {
  const world = World.live();
  for (let number = 0; number < 1_000; number++) {
    world.server.say(DIRECT, PEER, String(number), true);
    if (number % 100 === 0) {
      world.run();
    }
  }
  world.run();
  expect(world.texts().length).toBeGreaterThanOrEqual(200);
  expect(world.texts().length).toBeLessThanOrEqual(250);
  const stored = world.stored.all().filter(({ section }) => section === 'message').length;
  expect(stored).toBeGreaterThanOrEqual(200);
  expect(stored).toBeLessThanOrEqual(300);
  world.restart(false);
  world.run();
  expect(world.texts().at(-1)).toBe('999');
  expect(world.unread()).toBe(1_000);
});

test('a store with little room keeps a few of each conversation', () => {
  const world = World.live(config({ storedMessagesMax: 300 }));
  for (let number = 1; number <= 10; number++) {
    world.server.conversation(group(number)).group = groupPb(groupId(number), `group ${number}`);
    for (let message = 0; message < 100; message++) {
      world.server.say(group(number), PEER, String(message), message > 0);
      world.run();
    }
    world.server.changed(group(number));
    world.pass(1_000);
  }
  const stored = world.stored.all().filter(({ section }) => section === 'message').length;
  expect(stored).toBeLessThanOrEqual(400);
  world.restart(false);
  world.run();
  for (let number = 1; number <= 10; number++) {
    expect(world.texts(group(number)).at(-1)).toBe('99');
  }
});
