/** What the core tells its driver. */
import type { ClientError } from '../error.js';
import type { Account, Presence, PresenceWatch } from '../model/conversation.js';
import type { ClientEvents, SendUpdate } from '../model/events.js';
import type { ClientMsgId, ConversationId } from '../model/ids.js';
import type { Message } from '../model/message.js';
import type { Status } from '../model/status.js';

/** Something that happened, in the order it happened. */
export type CoreEvent =
  /** A conversation appeared or changed. */
  | { readonly kind: 'conversationChanged'; readonly conversation: ConversationId }
  | { readonly kind: 'cursorMoved'; readonly moved: ClientEvents['cursorMoved'] }
  /** The account's devices changed, as far as they are known. */
  | { readonly kind: 'devicesChanged' }
  | { readonly kind: 'disconnected'; readonly error: ClientError }
  /** A message that this device had not seen. */
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'messagesSkipped'; readonly skipped: ClientEvents['messagesSkipped'] }
  | { readonly kind: 'presence'; readonly presences: readonly Presence[] }
  /** A request of the app is done. */
  | { readonly kind: 'reply'; readonly token: number; readonly result: Uint8Array | ClientError }
  /** A message of one's own got further. */
  | {
      readonly kind: 'send';
      readonly clientMsgId: ClientMsgId;
      readonly conversation: ConversationId;
      readonly update: SendUpdate;
    }
  | { readonly kind: 'signedIn'; readonly account: Account }
  | { readonly kind: 'status'; readonly status: Status }
  | { readonly kind: 'storageFailed'; readonly error: ClientError }
  /** The messages of a timeline changed. */
  | { readonly kind: 'timelineChanged'; readonly conversation: ConversationId }
  /** Whom the server lets the app watch. */
  | { readonly kind: 'watching'; readonly token: number; readonly people: PresenceWatch[] };
