/** The held part of a conversation, against a definition that searches. */
import { expect, test } from 'vitest';
import { Backoff } from '../../src/core/backoff.js';
import { Timeline } from '../../src/core/timeline.js';
import type { Message } from '../../src/index.js';
import { DIRECT, ME, PEER } from '../support/model.js';
import { Random } from '../support/random.js';

function message(seq: number, sender = PEER): Message {
  const body = { kind: 'text', text: String(seq) } as const;
  const rest = { clientMsgId: undefined, newerBody: undefined, timeMs: seq };
  return { conversation: DIRECT, seq, messageId: String(seq), sender, body, ...rest };
}

/** What must always be true, by searching. */
function check(timeline: Timeline, label: string): void {
  const seqs = timeline.held.map(({ seq }) => seq);
  expect(seqs, label).toEqual(seqs.map((_, at) => timeline.lo + at));
  expect(timeline.hi, label).toBe(timeline.lo + seqs.length - 1);
  expect(timeline.hi, label).toBeLessThanOrEqual(timeline.last);
  expect(timeline.length, label).toBe(seqs.length + timeline.aheadLength);
  const gap = timeline.gap();
  expect(gap === undefined, label).toBe(timeline.hi === timeline.last);
  if (gap !== undefined) {
    expect(gap.from, label).toBe(timeline.hi + 1);
    expect(gap.to, label).toBeGreaterThanOrEqual(gap.from);
    expect(gap.to, label).toBeLessThanOrEqual(timeline.last);
  }
}

test('whatever is done to it, nothing held has a gap', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const timeline = new Timeline(random.below(30));
    for (let step = 0; step < 60; step++) {
      const seq = 1 + random.below(60);
      switch (random.below(8)) {
        case 0:
          timeline.rebase(seq);
          break;
        case 1:
          timeline.rewind(seq);
          break;
        case 2:
          timeline.trim(random.below(20));
          break;
        case 3:
          timeline.extendTo(seq);
          break;
        case 4: {
          const page = Array.from({ length: random.below(6) }, (_, at) => message(seq + at));
          const before = timeline.lo;
          expect(timeline.prepend(page)).toBe(before - timeline.lo);
          break;
        }
        default:
          timeline.insert(message(seq));
      }
      check(timeline, `seed ${seed}, step ${step}`);
    }
  }
});

test('a message is taken once, and a restored timeline keeps its gap', () => {
  const timeline = new Timeline(1);
  expect([1, 2, 2, 5, 5, 1].map((seq) => timeline.insert(message(seq)))).toEqual([
    true,
    true,
    false,
    true,
    false,
    false,
  ]);
  expect(timeline.gap()).toEqual({ from: 3, to: 4 });
  const restored = Timeline.restored(
    [1, 2, 5].map((seq) => message(seq)),
    7,
  );
  expect([restored.hi, restored.last, restored.newest()?.seq]).toEqual([2, 7, 5]);
  expect(Timeline.restored([], 7).hi).toBe(7);
});

test('the newest of others is found, and own ones are passed over', () => {
  const timeline = new Timeline(1);
  for (const [seq, sender] of [
    [1, PEER],
    [2, PEER],
    [3, ME],
  ] as const) {
    timeline.insert(message(seq, sender));
  }
  expect(timeline.newestOfOthers(1, ME)).toBe(2);
  expect(timeline.newestOfOthers(3, ME)).toBeUndefined();
});

test('a delay is within its bound, and a hint is taken as it is', () => {
  const backoff = new Backoff(500, 30_000);
  const bounds = Array.from({ length: 9 }, () => {
    const bound = backoff.boundMs();
    expect(backoff.nextDelayMs(0.999_999, undefined)).toBeLessThanOrEqual(bound);
    return bound;
  });
  expect(bounds).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(backoff.nextDelayMs(0.5, 7_321)).toBe(7_321);
  for (let failures = 0; failures < 5_000; failures++) {
    backoff.nextDelayMs(0, undefined);
  }
  expect(backoff.boundMs()).toBe(30_000);
  backoff.reset();
  expect(backoff.boundMs()).toBe(500);
});
