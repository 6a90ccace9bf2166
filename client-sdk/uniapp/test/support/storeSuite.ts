/** What every store must do, compared with `Rows`, the definition. */
import { expect, test } from 'vitest';
import { Rows } from '../../src/store/memory.js';
import type { LocalStore, StoreChange, StoreRow } from '../../src/store/store.js';
import { Random } from './random.js';

/** Opens the store that a test wrote to before, as a new run of the program. */
export type Reopen = () => LocalStore;

const put = (section: StoreRow['section'], key: string, value: string): StoreChange => ({
  kind: 'put',
  row: { section, key, value },
});

const sorted = (rows: StoreRow[]) =>
  rows.map(({ section, key, value }) => `${section} ${key} ${value}`).sort();

/** Runs the suite; `fresh` makes an empty place and opens it any number of times. */
export function storeSuite(fresh: () => Reopen): void {
  async function check(batches: StoreChange[][]): Promise<void> {
    const reopen = fresh();
    const wanted = new Rows();
    let store = reopen();
    expect(await store.load()).toEqual([]);
    for (const [at, batch] of batches.entries()) {
      await store.apply(batch, at % 2 === 0);
      wanted.apply(batch);
    }
    await store.close();
    store = reopen();
    expect(sorted(await store.load())).toEqual(sorted(wanted.all()));
    await store.close();
  }

  test('an empty store stays empty', () => check([]));

  test('rows are replaced and removed', () =>
    check([
      [put('meta', 'device', '"a"'), put('outbox', 'x', '{}')],
      [put('meta', 'device', '"b"'), { kind: 'remove', section: 'outbox', key: 'x' }],
      [{ kind: 'remove', section: 'outbox', key: 'never there' }],
    ]));

  test('a section is cleared and others stay', () =>
    check([
      [put('message', 'a/1', '1'), put('profile', '2', '2'), put('settings', 'a', '3')],
      [{ kind: 'clear', section: 'message' }, put('message', 'b/1', '4')],
    ]));

  test('a range goes, its lower end with it and its upper end not', () =>
    check([
      ['a/1', 'a/2', 'a/3', 'a/4', 'b/1'].map((key) => put('message', key, 'x')),
      [{ kind: 'removeRange', section: 'message', from: 'a/2', to: 'a/4' }],
      [{ kind: 'removeRange', section: 'message', from: 'z', to: 'a' }],
    ]));

  test('the order within a batch counts', () =>
    check([
      [put('meta', 'a', '1'), { kind: 'clear', section: 'meta' }, put('meta', 'b', '2')],
      [put('meta', 'b', '3'), { kind: 'remove', section: 'meta', key: 'b' }],
    ]));

  test('any text is kept: quotes, emoji, a body of many kilobytes', () =>
    check([
      [
        put('outbox', 'quote', 'it\'s "quoted" \\ -- ; DROP TABLE rows'),
        put('outbox', 'emoji', '👩‍🚀 🪿 你好'),
        put('outbox', 'long', 'x'.repeat(90_000)),
      ],
    ]));

  test('long histories of random batches', async () => {
    const random = new Random(42);
    const batches = Array.from({ length: 200 }, () =>
      Array.from({ length: 1 + random.below(5) }, () => randomChange(random)),
    );
    await check(batches);
  });
}

function randomChange(random: Random): StoreChange {
  const section = random.pick(['conversation', 'message', 'outbox'] as const);
  const key = () => `k/${random.below(20)}`;
  switch (random.below(12)) {
    case 0:
      return { kind: 'clear', section };
    case 1:
      return { kind: 'removeRange', section, from: key(), to: key() };
    case 2:
    case 3:
      return { kind: 'remove', section, key: key() };
    default:
      return put(section, key(), String(random.below(1000)));
  }
}
