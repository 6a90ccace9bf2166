/** Reading back through more than a timeline holds, and coming back. */
import { expect, test } from 'vitest';
import type { ClientError } from '../../src/index.js';
import { DIRECT, ME, PEER } from '../support/model.js';
import { Random } from '../support/random.js';
import { config, World } from '../support/world.js';

const OPEN_MAX = 20;

/** A client that has a conversation of so many messages open. */
function reader(count: number): World {
  const world = World.live(config({ timelineWindow: 8, timelineWindowOpen: OPEN_MAX }));
  for (let number = 1; number <= count; number++) {
    world.server.say(DIRECT, PEER, String(number), number === 1);
  }
  world.cut();
  world.server.tooOldAfter = 10;
  world.pass(1_000);
  world.core.openTimeline(world.nowMs, DIRECT);
  return world;
}

function older(world: World, limit = 5): unknown {
  world.events = [];
  world.core.loadOlder(world.nowMs, 9, DIRECT, limit);
  world.run();
  return world.reply(9);
}

function newer(world: World, limit = 5): unknown {
  world.events = [];
  world.core.loadNewer(world.nowMs, 9, DIRECT, limit);
  world.run();
  return world.reply(9);
}

function seqs(world: World): number[] {
  return world.view().items.flatMap(({ seq }) => seq ?? []);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

test('an open conversation of any length is read back to its beginning, and forth', () => {
  const world = reader(100);
  const seen = new Set(seqs(world));
  while (world.view().hasOlder) {
    const [before] = seqs(world);
    older(world);
    const now = seqs(world);
    // What was at the top is still there: whoever looks at it keeps it.
    expect(now).toContain(before);
    expect(now).toEqual(range(now[0] as number, now.at(-1) as number));
    expect(now.length).toBeLessThanOrEqual(OPEN_MAX);
    for (const seq of now) {
      seen.add(seq);
    }
  }
  expect(seqs(world)).toEqual(range(1, OPEN_MAX));
  expect([...seen].sort((a, b) => a - b)).toEqual(range(1, 100));
  expect(world.view().hasNewer).toBe(true);
  expect(older(world)).toEqual(new Uint8Array(0));
  while (world.view().hasNewer) {
    const last = seqs(world).at(-1);
    newer(world);
    expect(seqs(world)).toContain(last);
    expect(seqs(world)).toEqual(range(seqs(world)[0] as number, seqs(world).at(-1) as number));
  }
  expect(seqs(world).at(-1)).toBe(100);
  expect(newer(world)).toEqual(new Uint8Array(0));
});

test('what comes in while one reads back is not shown there, and is there afterwards', () => {
  const world = reader(100);
  while (!world.view().hasNewer) {
    older(world);
  }
  const reading = seqs(world);
  world.server.say(DIRECT, PEER, '101', true);
  const mine = world.send(DIRECT, 'mine');
  world.run();
  expect(seqs(world)).toEqual(reading);
  expect(world.pending()).toEqual([]);
  expect(world.view().lastSeq).toBe(102);
  expect(world.heard()).toContain('101');
  expect(world.updates(mine).at(-1)?.kind).toBe('saved');
  world.core.toNewest(world.nowMs, DIRECT);
  world.run();
  expect(world.view().hasNewer).toBe(false);
  expect(world.texts().slice(-2)).toEqual(['101', 'mine']);
  expect(world.view().hasOlder).toBe(true);
});

test('an own message that waits is shown with the newest', () => {
  const world = reader(100);
  while (!world.view().hasNewer) {
    older(world);
  }
  world.reachable = false;
  world.cut();
  world.send(DIRECT, 'later');
  world.settle();
  expect(world.pending()).toEqual([]);
  world.core.toNewest(world.nowMs, DIRECT);
  expect(world.pending().map(({ body }) => body)).toEqual([{ kind: 'text', text: 'later' }]);
});

test('two who page at the same time do not end the conversation early', () => {
  const world = reader(100);
  world.core.loadOlder(world.nowMs, 8, DIRECT, 5);
  world.core.loadOlder(world.nowMs, 9, DIRECT, 5);
  world.run();
  expect(world.view().hasOlder).toBe(true);
  while (world.view().hasOlder) {
    world.core.loadOlder(world.nowMs, 8, DIRECT, 5);
    world.core.loadOlder(world.nowMs, 9, DIRECT, 7);
    world.run();
  }
  expect(seqs(world)[0]).toBe(1);
});

test('a page that comes after the way back changes nothing', () => {
  const world = reader(100);
  while (!world.view().hasNewer) {
    older(world);
  }
  for (const [ask, end] of [
    ['loadOlder', 0],
    ['loadNewer', -1],
  ] as const) {
    world.core[ask](world.nowMs, 9, DIRECT, 5);
    world.core.toNewest(world.nowMs, DIRECT);
    world.run();
    const shown = seqs(world);
    expect(shown).toEqual(range(shown[0] as number, 100));
    expect(world.view().hasOlder).toBe(true);
    while (!world.view().hasNewer) {
      older(world);
    }
    expect(seqs(world).at(end)).toBeLessThan(100);
  }
});

test('a conversation that nobody has open keeps its window, and closing ends the reading', () => {
  const world = reader(100);
  while (!world.view().hasNewer) {
    older(world);
  }
  world.core.closeTimeline(world.nowMs, DIRECT);
  expect(world.view().hasNewer).toBe(false);
  expect(seqs(world).at(-1)).toBe(100);
  expect(seqs(world).length).toBeLessThanOrEqual(10);
  expect(() => {
    for (;;) {
      older(world);
    }
  }).toThrowError(expect.objectContaining({ kind: 'windowFull' }) as ClientError);
});

test('a server that came back shorter ends the reading of what it lost', () => {
  const world = reader(100);
  while (!world.view().hasNewer) {
    older(world);
  }
  world.cut();
  world.server.conversation(DIRECT).messages.length = 60;
  world.pass(60_000);
  expect(world.view().hasNewer).toBe(false);
  expect(world.view().lastSeq).toBe(60);
});

test('whatever is asked in any order, what is shown has no gap and a bound', () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = new Random(seed);
    const world = reader(60);
    for (let step = 0; step < 80; step++) {
      act(world, random);
      const shown = seqs(world);
      const label = `seed ${seed}, step ${step}`;
      expect(shown, label).toEqual(shown.map((_, at) => (shown[0] as number) + at));
      // The timeline itself is given some slack.
      expect(shown.length, label).toBeLessThanOrEqual(OPEN_MAX + OPEN_MAX / 4 + 1);
      expect(world.core.state.heldMessages, label).toBe(
        world.core.state.convs.get(DIRECT)?.timeline.length,
      );
    }
    // A push that was lost is known by the next sync.
    world.cut();
    world.pass(120_000);
    while (world.view().hasNewer) {
      newer(world, 7);
    }
    expect(seqs(world).at(-1)).toBe(world.server.conversation(DIRECT).messages.length);
    while (world.view().hasOlder) {
      older(world, 7);
    }
    expect(seqs(world)[0]).toBe(1);
  }
});

function act(world: World, random: Random): void {
  const { core, nowMs } = world;
  try {
    switch (random.below(10)) {
      case 0:
        world.server.say(DIRECT, PEER, 'theirs', random.below(4) > 0);
        break;
      case 1:
        world.server.say(DIRECT, ME, 'mine, elsewhere', true);
        break;
      case 2:
        world.send(DIRECT, 'mine');
        break;
      case 3:
        core.toNewest(nowMs, DIRECT);
        break;
      case 4:
        core.loadNewer(nowMs, 9, DIRECT, 1 + random.below(9));
        break;
      case 5:
        world.cut();
        break;
      case 6:
        world.pass(1 + random.below(3_000));
        break;
      default:
        core.loadOlder(nowMs, 9, DIRECT, 1 + random.below(9));
    }
  } catch (error) {
    expect((error as ClientError).kind).toBe('offline');
  }
  if (random.below(3) > 0) {
    world.run();
  }
}
