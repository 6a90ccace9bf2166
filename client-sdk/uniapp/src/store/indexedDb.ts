/**
 * IndexedDB of browsers. Two pages must not share one store: each is a device
 * of its own. Where the browser has locks, the first page takes the store
 * `name`, the next `name-2`, and a page that is loaded again finds its own.
 */
import type { LocalStore, StoreChange, StoreRow } from './store.js';

interface Lock {
  readonly slot: string;
  release(): void;
}

interface LockManager {
  request(
    name: string,
    options: { ifAvailable: true },
    callback: (lock: unknown) => Promise<void> | undefined,
  ): Promise<unknown>;
}

/** Keeps state in the database `name` of the page's origin. */
export function indexedDbStore(
  name = 'hongyan',
  options: { readonly indexedDB?: IDBFactory } = {},
): LocalStore {
  let database: IDBDatabase | undefined;
  let lock: Lock | undefined;
  return {
    async load() {
      lock ??= await takeSlot(name);
      database ??= await open(options.indexedDB ?? indexedDB, lock.slot);
      const rows = await loadAll(database);
      return rows.map(({ section, key, value }) => ({ section, key, value }));
    },
    async apply(changes, durable) {
      if (database === undefined) {
        throw new Error('the store is not open');
      }
      await applyAll(database, changes, durable);
    },
    async close() {
      database?.close();
      database = undefined;
      lock?.release();
      lock = undefined;
    },
  };
}

function open(factory: IDBFactory, name: string): Promise<IDBDatabase> {
  return new Promise((done, failed) => {
    const request = factory.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE, { keyPath: ['section', 'key'] });
    };
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
    request.onblocked = () => failed(new Error('another page has the store open'));
  });
}

function loadAll(database: IDBDatabase): Promise<StoreRow[]> {
  return new Promise((done, failed) => {
    const request = database.transaction(STORE, 'readonly').objectStore(STORE).getAll();
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}

/** One transaction: all of it or nothing. */
function applyAll(
  database: IDBDatabase,
  changes: readonly StoreChange[],
  durable: boolean,
): Promise<void> {
  return new Promise((done, failed) => {
    const durability = durable ? 'strict' : 'relaxed';
    const transaction = database.transaction(STORE, 'readwrite', { durability });
    transaction.oncomplete = () => done();
    transaction.onerror = () => failed(transaction.error);
    transaction.onabort = () => failed(transaction.error ?? new Error('the write was given up'));
    const rows = transaction.objectStore(STORE);
    for (const change of changes) {
      applyOne(rows, change);
    }
  });
}

function applyOne(rows: IDBObjectStore, change: StoreChange): void {
  switch (change.kind) {
    case 'put':
      rows.put(change.row);
      break;
    case 'remove':
      rows.delete([change.section, change.key]);
      break;
    case 'removeRange': {
      const { section, from, to } = change;
      if (from < to) {
        rows.delete(IDBKeyRange.bound([section, from], [section, to], false, true));
      }
      break;
    }
    case 'clear':
      // An array sorts above every text.
      rows.delete(IDBKeyRange.bound([change.section], [change.section, []]));
      break;
  }
}

/** A store that no other page has, and the hold on it. */
async function takeSlot(name: string): Promise<Lock> {
  const locks = lockManager();
  if (locks === undefined) {
    return { slot: name, release() {} };
  }
  const remembered = session()?.getItem(`${name}/slot`);
  const slots = Array.from({ length: SLOTS_MAX }, (_, at) =>
    at === 0 ? name : `${name}-${at + 1}`,
  );
  if (remembered && slots.includes(remembered)) {
    slots.unshift(remembered);
  }
  for (const slot of slots) {
    const release = await hold(locks, slot);
    if (release !== undefined) {
      session()?.setItem(`${name}/slot`, slot);
      return { slot, release };
    }
  }
  throw new Error(`${SLOTS_MAX} pages are open already`);
}

function hold(locks: LockManager, slot: string): Promise<(() => void) | undefined> {
  return new Promise((done, failed) => {
    const request = locks.request(slot, { ifAvailable: true }, (lock) => {
      if (lock === null) {
        done(undefined);
        return undefined;
      }
      // Held until the promise ends.
      return new Promise<void>((release) => done(release));
    });
    request.catch(failed);
  });
}

function lockManager(): LockManager | undefined {
  return typeof navigator === 'undefined'
    ? undefined
    : (navigator as unknown as { locks?: LockManager }).locks;
}

function session(): Storage | undefined {
  return typeof sessionStorage === 'undefined' ? undefined : sessionStorage;
}

const STORE = 'rows';
const SLOTS_MAX = 16;
