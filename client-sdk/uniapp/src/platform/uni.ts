/** What uni-app tells a client, and what it has for one. */
import type { Client } from '../client/api.js';
import { indexedDbStore } from '../store/indexedDb.js';
import { plusSqliteStore } from '../store/plusSqlite.js';
import type { LocalStore } from '../store/store.js';
import { uniStorageStore } from '../store/uniStorage.js';
import type { Unsubscribe } from '../watch.js';

declare const uni: {
  onNetworkStatusChange(callback: (result: { isConnected: boolean }) => void): void;
  offNetworkStatusChange(callback: (result: { isConnected: boolean }) => void): void;
};

declare const plus: { sqlite?: unknown } | undefined;

/**
 * The store that fits the platform: IndexedDB on H5, SQLite on App where its
 * module is there, `uni.setStorage` elsewhere.
 */
export function uniStore(name = 'hongyan'): LocalStore {
  if (typeof plus !== 'undefined' && plus.sqlite !== undefined) {
    return plusSqliteStore(name);
  }
  return typeof indexedDB === 'undefined' ? uniStorageStore(name) : indexedDbStore(name);
}

/**
 * Tells the client when the network changes. Beside it call `client.onShow()`
 * and `client.onHide()` from `App.vue`.
 */
export function bindUni(client: Client): Unsubscribe {
  const changed = ({ isConnected }: { isConnected: boolean }) => {
    if (isConnected) {
      client.networkChanged();
    }
  };
  uni.onNetworkStatusChange(changed);
  return () => uni.offNetworkStatusChange(changed);
}
