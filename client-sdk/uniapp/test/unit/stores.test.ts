/** Every store runs one suite; the platforms' parts are stand-ins. */
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { indexedDbStore } from '../../src/store/indexedDb.js';
import { journalStore } from '../../src/store/journal.js';
import { memoryStore } from '../../src/store/memory.js';
import { plusSqliteStore } from '../../src/store/plusSqlite.js';
import { uniStorageStore } from '../../src/store/uniStorage.js';
import { FakePlusSqlite } from '../support/plusSqlite.js';
import { storeSuite } from '../support/storeSuite.js';

describe('memory', () => {
  // It forgets with the program, so the same one is opened again.
  storeSuite(() => {
    const store = memoryStore();
    return () => store;
  });
});

describe('IndexedDB', () => {
  beforeEach(() => vi.stubGlobal('IDBKeyRange', IDBKeyRange));
  afterEach(() => vi.unstubAllGlobals());
  storeSuite(() => {
    const factory = new IDBFactory();
    return () => indexedDbStore('test', { indexedDB: factory });
  });
});

/** The storage of uni-app in memory; it can stop at any write. */
class FakeStorage {
  readonly values = new Map<string, string>();
  writesLeft = Number.POSITIVE_INFINITY;

  readonly uni = {
    getStorageSync: (key: string) => this.values.get(key) ?? '',
    setStorageSync: (key: string, value: string) => {
      this.spend();
      this.values.set(key, value);
    },
    removeStorageSync: (key: string) => {
      this.spend();
      this.values.delete(key);
    },
    getStorageInfoSync: () => ({ keys: [...this.values.keys()] }),
  };

  private spend(): void {
    if (this.writesLeft <= 0) {
      throw new Error('killed');
    }
    this.writesLeft--;
  }
}

describe('uni storage', () => {
  afterEach(() => vi.unstubAllGlobals());
  storeSuite(() => {
    const storage = new FakeStorage();
    vi.stubGlobal('uni', storage.uni);
    return () => uniStorageStore('test');
  });

  test('what others keep there is left alone', async () => {
    const storage = new FakeStorage();
    storage.values.set('theme', 'dark');
    storage.values.set('test/notes', 'mine');
    vi.stubGlobal('uni', storage.uni);
    const store = uniStorageStore('test');
    await store.load();
    for (let round = 0; round < 200; round++) {
      await store.apply([{ kind: 'clear', section: 'meta' }], true);
    }
    expect(storage.values.get('theme')).toBe('dark');
    expect(storage.values.get('test/notes')).toBe('mine');
    expect(storage.values.size).toBeLessThan(80);
  });
});

describe('plus.sqlite', () => {
  afterEach(() => vi.unstubAllGlobals());
  storeSuite(() => {
    const sqlite = new FakePlusSqlite();
    vi.stubGlobal('plus', { sqlite });
    return () => plusSqliteStore('test');
  });

  test('a batch that fails leaves nothing', async () => {
    const sqlite = new FakePlusSqlite();
    vi.stubGlobal('plus', { sqlite });
    const store = plusSqliteStore('test');
    await store.load();
    const row = { section: 'meta', key: 'a', value: '1' } as const;
    sqlite.failNextCommit = true;
    await expect(store.apply([{ kind: 'put', row }], true)).rejects.toThrow('no_such_function');
    expect(await store.load()).toEqual([]);
    await store.apply([{ kind: 'put', row }], true);
    expect(await store.load()).toEqual([row]);
  });
});

test('a journal that is killed at any write holds whole batches', async () => {
  const batches = Array.from({ length: 150 }, (_, number) => [
    { kind: 'put', row: { section: 'meta', key: 'a', value: `${number}`.repeat(20) } } as const,
    { kind: 'put', row: { section: 'meta', key: 'b', value: `${number}`.repeat(20) } } as const,
  ]);
  for (let kill = 0; kill < 900; kill += 7) {
    const storage = new FakeStorage();
    const open = () =>
      journalStore(
        {
          get: (key) => storage.uni.getStorageSync(key) || undefined,
          set: storage.uni.setStorageSync,
          remove: storage.uni.removeStorageSync,
          keys: (prefix) => [...storage.values.keys()].filter((key) => key.startsWith(prefix)),
        },
        'test',
        { valueCharsMax: 60, messagesMax: 100 },
      );
    const store = open();
    await store.load();
    storage.writesLeft = kill;
    let applied = 0;
    try {
      for (const batch of batches) {
        await store.apply(batch, true);
        applied++;
      }
    } catch {}
    storage.writesLeft = Number.POSITIVE_INFINITY;
    const rows = await open().load();
    const [a, b] = rows.map(({ value }) => value);
    expect(a).toBe(b);
    const found = a === undefined ? 0 : batches.findIndex(([put]) => put?.row.value === a) + 1;
    // The one that was being applied may be there: all of it, as said above.
    expect([applied, applied + 1]).toContain(found);
  }
});
