/**
 * `uni.setStorage`: WeChat mini-programs (10 MB, 1 MB for a key), App, and H5
 * where there is no IndexedDB (about 5 MB).
 */
import { journalStore, type KeyValueStorage } from './journal.js';
import type { LocalStore } from './store.js';

declare const uni: {
  getStorageSync(key: string): unknown;
  setStorageSync(key: string, value: string): void;
  removeStorageSync(key: string): void;
  getStorageInfoSync(): { keys: string[] };
};

/** Keeps state in the storage of uni-app, under keys that begin with `name`. */
export function uniStorageStore(name = 'hongyan'): LocalStore {
  const storage: KeyValueStorage = {
    get: (key) => {
      const value = uni.getStorageSync(key);
      return typeof value === 'string' && value !== '' ? value : undefined;
    },
    set: (key, value) => uni.setStorageSync(key, value),
    remove: (key) => uni.removeStorageSync(key),
    keys: (prefix) => uni.getStorageInfoSync().keys.filter((key) => key.indexOf(prefix) === 0),
  };
  return journalStore(storage, name, { valueCharsMax: 200_000, messagesMax: 4_000 });
}
