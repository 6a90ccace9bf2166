/**
 * An app that only listens to events: it misses nothing, hears each message once
 * and in the order of seqs, however much it was away for.
 */
import { expect, test } from 'vitest';
import { type ConversationId, ErrorCode, Opcode } from '../../src/index.js';
import { Rows } from '../../src/store/memory.js';
import { DIRECT, group as groupPb, ME, PEER, wireError } from '../support/model.js';
import { Random } from '../support/random.js';
import { config, World } from '../support/world.js';

/** What a sync brings of a conversation, as the real server. */
const PAGE = 200;
const GROUP: ConversationId = 'g:4097';

/** A world where `before` was said and heard, then the connection broke. */
function away(world = new World()): World {
  world.login();
  world.run();
  world.server.tooOldAfter = PAGE;
  world.server.conversation(GROUP).group = groupPb('4097', 'geese');
  for (const id of [DIRECT, GROUP]) {
    world.server.say(id, PEER, 'before', true);
  }
  world.pass(1_000);
  world.events = [];
  world.server.seen = [];
  world.reachable = false;
  world.cut();
  return world;
}

function say(world: World, id: ConversationId, count: number): void {
  for (let number = 0; number < count; number++) {
    const seq = world.server.conversation(id).messages.length + 1;
    world.server.say(id, PEER, String(seq), false);
  }
}

function back(world: World): void {
  world.reachable = true;
  world.core.start(world.nowMs);
  world.pass(60_000);
}

/** Goes on until so many pages were asked for. */
function untilAsked(world: World, pages: number): void {
  world.reachable = true;
  world.core.start(world.nowMs);
  while (asked(world) < pages) {
    expect(world.step() || world.skipToTimeout(), 'it goes on by itself').toBe(true);
  }
}

function told(world: World, id: ConversationId): number[] {
  return world.events.flatMap((event) =>
    event.kind === 'message' && event.message.conversation === id ? [event.message.seq] : [],
  );
}

function skipped(world: World): [number, number][] {
  return world.events.flatMap((event): [number, number][] =>
    event.kind === 'messagesSkipped' ? [[event.skipped.fromSeq, event.skipped.toSeq]] : [],
  );
}

const asked = (world: World) => world.server.seen.filter((it) => it === Opcode.History).length;
const all = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at);

test.each([199, 200, 201, 202, 401, 1_234, 5_000])(
  'what a sync left out is told in order: %i missed',
  (missed) => {
    const world = away();
    say(world, DIRECT, missed);
    back(world);
    expect(told(world, DIRECT)).toEqual(all(2, missed + 1));
    expect(skipped(world)).toEqual([]);
    expect(world.server.conversation(DIRECT).delivered.get(ME)).toBe(missed + 1);
    // What is shown does not wait, and pages back as before.
    const texts = world.texts();
    expect(texts.at(-1)).toBe(String(missed + 1));
    expect(texts.length).toBeLessThanOrEqual(PAGE + 50);
  },
);

test('two conversations are read beside each other', () => {
  const world = away();
  say(world, DIRECT, 1_100);
  say(world, GROUP, 700);
  back(world);
  expect(told(world, DIRECT)).toEqual(all(2, 1_101));
  expect(told(world, GROUP)).toEqual(all(2, 701));
  expect(asked(world)).toBe(5 + 3);
});

test('four conversations are read at a time, the others after them', () => {
  const world = away();
  const groups = all(1, 10).map((number): ConversationId => `g:${(number << 12) | 2}`);
  for (const id of groups) {
    world.server.conversation(id).group = groupPb(id.slice(2), id);
    say(world, id, 500);
  }
  world.server.silent.add(Opcode.History);
  back(world);
  expect(asked(world) % 4).toBe(0);
  world.server.silent.clear();
  world.pass(60_000);
  for (const id of groups) {
    expect(told(world, id), id).toEqual(all(1, 500));
  }
});

test('what is pushed meanwhile comes behind it', () => {
  const world = away();
  say(world, DIRECT, 1_100);
  world.server.silent.add(Opcode.History);
  back(world);
  for (let number = 0; number < 700; number++) {
    world.server.say(DIRECT, PEER, 'pushed', true);
  }
  world.run();
  expect(told(world, DIRECT), 'what lies above what was missed waits').toEqual([]);
  // The window is too small for what was pushed: it is read, too.
  world.server.silent.clear();
  world.pass(60_000);
  expect(told(world, DIRECT)).toEqual(all(2, 1_801));
});

test('a connection lost on the way changes nothing', () => {
  for (let pages = 0; pages < 6; pages++) {
    const world = away();
    say(world, DIRECT, 1_100);
    say(world, GROUP, 900);
    untilAsked(world, pages);
    world.cut();
    say(world, DIRECT, 300);
    back(world);
    expect(told(world, DIRECT), `cut after ${pages}`).toEqual(all(2, 1_401));
    expect(told(world, GROUP), `cut after ${pages}`).toEqual(all(2, 901));
  }
});

test('an app killed on the way goes on where it was', () => {
  const world = away();
  say(world, DIRECT, 1_100);
  untilAsked(world, 3);
  const before = told(world, DIRECT).length;
  expect(before).toBeGreaterThan(100);
  expect(before).toBeLessThan(1_000);
  world.restart(false);
  back(world);
  expect(told(world, DIRECT)).toEqual(all(2, 1_101));
});

test('what an older version kept counts as told', () => {
  const world = away();
  world.events = [];
  for (const row of world.stored.all().filter(({ section }) => section === 'conversation')) {
    const { toldSeq, ...older } = JSON.parse(row.value);
    expect(toldSeq).toBe(1);
    world.stored.apply([{ kind: 'put', row: { ...row, value: JSON.stringify(older) } }]);
  }
  say(world, DIRECT, 300);
  world.restart(false);
  back(world);
  expect(told(world, DIRECT)).toEqual(all(2, 301));
  expect(told(world, GROUP)).toEqual([]);
});

test('an app without a store hears what no device of the user has', () => {
  const world = away();
  say(world, DIRECT, 1_100);
  world.stored = new Rows();
  world.restart(false);
  world.login();
  back(world);
  expect(told(world, DIRECT)).toEqual(all(2, 1_101));
  expect(told(world, GROUP), 'another device had it').toEqual([]);
});

test('who wrote before a sync hears what others said before it', () => {
  const world = World.live();
  world.server.silent.add(Opcode.Send);
  world.send(DIRECT, 'mine');
  world.run();
  world.cut();
  world.server.silent.clear();
  say(world, DIRECT, 2);
  back(world);
  expect(told(world, DIRECT).slice(0, 2)).toEqual([1, 2]);
});

test('what lies too far back is said to be skipped', () => {
  const world = away(new World(config({ missedMax: 300 })));
  say(world, DIRECT, 1_000);
  back(world);
  // The sync brought 802 to 1001.
  expect(skipped(world)).toEqual([[2, 501]]);
  expect(told(world, DIRECT)).toEqual(all(502, 1_001));
  expect(asked(world)).toBe(2);
});

test('who wants only what is said now reads nothing', () => {
  const world = away(new World(config({ missedMax: 0 })));
  say(world, DIRECT, 1_000);
  back(world);
  expect(skipped(world)).toEqual([[2, 801]]);
  expect(told(world, DIRECT)).toEqual(all(802, 1_001));
  expect(asked(world)).toBe(0);
});

test('nothing is read for nobody', () => {
  const world = away();
  world.core.setListening(false);
  say(world, DIRECT, 1_000);
  back(world);
  expect(asked(world)).toBe(0);
  expect(skipped(world)).toEqual([]);
  expect(world.server.conversation(DIRECT).delivered.get(ME)).toBe(1_001);
  world.core.setListening(true);
  world.events = [];
  world.server.say(DIRECT, PEER, 'now', true);
  world.pass(1_000);
  expect(told(world, DIRECT)).toEqual([1_002]);
});

test('own messages that were acknowledged meanwhile are not told', () => {
  const world = away();
  say(world, DIRECT, 1_000);
  world.server.silent.add(Opcode.History);
  back(world);
  const sent = world.send(DIRECT, 'mine');
  world.pass(1_000);
  expect(world.updates(sent).map(({ kind }) => kind)).toEqual(['sending', 'saved']);
  world.server.say(DIRECT, ME, 'mine, elsewhere', true);
  world.server.silent.clear();
  world.pass(60_000);
  expect(told(world, DIRECT)).toEqual([...all(2, 1_001), 1_003]);
});

test('a refusal for now is waited out, and one for good is told', () => {
  const busy = away();
  say(busy, DIRECT, 1_000);
  busy.server.refusals.push({ opcode: Opcode.History, error: wireError(ErrorCode.Busy, 3_000) });
  back(busy);
  expect(told(busy, DIRECT)).toEqual(all(2, 1_001));
  expect(skipped(busy)).toEqual([]);
  const refused = away();
  say(refused, DIRECT, 1_000);
  const error = wireError(ErrorCode.NotAllowed, 0);
  refused.server.refusals.push({ opcode: Opcode.History, error });
  back(refused);
  expect(skipped(refused)).toEqual([[2, 801]]);
  expect(told(refused, DIRECT)).toEqual(all(802, 1_001));
});

test('what came before joining is not missed', () => {
  const world = away();
  say(world, GROUP, 1_000);
  world.server.conversation(GROUP).joinedSeq = 401;
  back(world);
  expect(told(world, GROUP)).toEqual(all(401, 1_001));
  expect(skipped(world)).toEqual([]);
});

test('a gap too wide to fill is told all the same', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'first', true);
  world.run();
  say(world, DIRECT, 2_000);
  world.server.say(DIRECT, PEER, 'last', true);
  world.pass(60_000);
  expect(told(world, DIRECT)).toEqual(all(1, 2_002));
});

test('a server that lost the end is heard anew', () => {
  const world = away();
  say(world, DIRECT, 1_000);
  back(world);
  world.cut();
  world.server.conversation(DIRECT).messages.splice(990);
  world.server.conversation(DIRECT).delivered.clear();
  back(world);
  world.events = [];
  world.server.say(DIRECT, PEER, 'another', true);
  world.run();
  expect(told(world, DIRECT)).toEqual([991]);
});

test('paging back while the rest is read tells nothing twice', () => {
  const world = away();
  world.core.openTimeline(world.nowMs, DIRECT);
  say(world, DIRECT, 1_100);
  untilAsked(world, 2);
  for (let token = 10; world.view().hasOlder; token++) {
    world.core.loadOlder(world.nowMs, token, DIRECT, 150);
    world.step();
  }
  world.pass(60_000);
  expect(told(world, DIRECT)).toEqual(all(2, 1_101));
  expect(world.texts().length).toBe(1_101);
});

/** Nothing, the end of a connection or of the program, or somebody who reads back. */
function trouble(world: World, random: Random, token: number): void {
  const what = random.below(4);
  if (what === 1) {
    world.cut();
  } else if (what === 2) {
    world.restart(false);
    world.core.openTimeline(world.nowMs, GROUP);
  } else if (what === 3 && world.core.state.link.inSession && world.view(GROUP).hasOlder) {
    world.core.loadOlder(world.nowMs, token, GROUP, 50);
  }
}

test('whatever the windows are and whatever breaks, all is told in order', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const timelineWindow = 5 + random.below(60);
    const world = away(
      new World(config({ timelineWindow, timelineWindowOpen: timelineWindow * 2 })),
    );
    world.server.tooOldAfter = 5 + random.below(100);
    world.core.openTimeline(world.nowMs, GROUP);
    back(world);
    for (let count = random.below(12); count > 0; count--) {
      const id = random.pick([DIRECT, GROUP]);
      say(world, id, random.below(700));
      world.server.say(id, PEER, 'pushed', true);
      trouble(world, random, 1_000 + count);
      for (let steps = random.below(8); steps > 0; steps--) {
        if (!world.step()) {
          world.skipToTimeout();
        }
      }
    }
    world.cut();
    back(world);
    for (const id of [DIRECT, GROUP]) {
      const { length } = world.server.conversation(id).messages;
      expect(told(world, id), `seed ${seed}: ${id}`).toEqual(all(2, length));
    }
    expect(skipped(world), `seed ${seed}`).toEqual([]);
  }
});
