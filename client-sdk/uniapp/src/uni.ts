/**
 * What a client needs in uni-app, on H5, WeChat mini-programs and App. It is an
 * entry of its own because it names `uni`, which other programs do not have.
 *
 * @packageDocumentation
 */
export { bindUni, uniStore } from './platform/uni.js';
export type { PlusSqlite } from './store/plusSqlite.js';
export { plusSqliteStore } from './store/plusSqlite.js';
export { uniStorageStore } from './store/uniStorage.js';
export type { UniSocketTask } from './transport/uniSocket.js';
export { uniTransport } from './transport/uniSocket.js';
