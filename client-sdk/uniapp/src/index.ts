/**
 * Client of the Hongyan instant-messaging server, for browsers, Node and
 * uni-app.
 *
 * ```ts
 * const client = await createClient({ url: 'wss://chat.example.org/ws' });
 * await client.login('alice', 'correct horse');
 * const bob = await client.findUser('bob');
 * await client.sendText(client.direct(bob.user), 'hello');
 * ```
 *
 * @packageDocumentation
 */
export type {
  Client,
  GroupMembers,
  GroupUpdate,
  HistoryPage,
  SendHandle,
  SendOptions,
  Timeline,
} from './client/api.js';
export { createClient } from './client/createClient.js';
export type { ClientOptions, Tuning } from './client/options.js';
export type { ClientErrorKind } from './error.js';
export { ClientError } from './error.js';
export type { ErrorCodeNumber } from './errorCode.js';
export { ErrorCode, errorCodeName } from './errorCode.js';
export type {
  Account,
  ConversationSettings,
  ConversationState,
  DeviceClass,
  DeviceState,
  GroupInfo,
  GroupMember,
  Presence,
  PresenceWatch,
  Profile,
} from './model/conversation.js';
export type { ClientEvents, SendUpdate } from './model/events.js';
export type { ClientMsgId, ConversationId, GroupId, UserId } from './model/ids.js';
export {
  compareIds,
  directConversation,
  groupConversation,
  groupOf,
  isGroup,
  parseConversationId,
  peerOf,
} from './model/ids.js';
export type {
  AckLevel,
  Body,
  EventBody,
  GroupEvent,
  GroupEventKind,
  Message,
  OpaqueBody,
  PendingMessage,
  Role,
  SendAck,
  SendState,
  TextBody,
  TimelineItem,
  TimelineView,
  UnknownBody,
} from './model/message.js';
export type { AccountState, SignOutReason, Status } from './model/status.js';
export { Opcode } from './opcode.js';
export { bindBrowser } from './platform/browser.js';
export { indexedDbStore } from './store/indexedDb.js';
export type { JournalLimits, KeyValueStorage } from './store/journal.js';
export { journalStore } from './store/journal.js';
export { memoryStore } from './store/memory.js';
export type { LocalStore, Section, StoreChange, StoreRow } from './store/store.js';
export type {
  Transport,
  TransportConnection,
  TransportEnd,
  TransportHandler,
} from './transport/transport.js';
export type { WebSocketConstructor, WebSocketLike } from './transport/webSocket.js';
export { webSocketTransport } from './transport/webSocket.js';
export { VERSION } from './version.js';
export type { Unsubscribe, Watch } from './watch.js';
