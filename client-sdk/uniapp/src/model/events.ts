/** What a client tells those who react to each thing that happens. */
import type { ClientError } from '../error.js';
import type { Account, Presence } from './conversation.js';
import type { ClientMsgId, ConversationId, UserId } from './ids.js';
import type { Message, SendAck } from './message.js';
import type { Status } from './status.js';

/** How far a message of one's own got. */
export type SendUpdate =
  /** Kept on this device; it will be sent. */
  | { readonly kind: 'sending' }
  /** The server has it. */
  | { readonly kind: 'saved'; readonly ack: SendAck }
  /** Refused for good; it stays as failed. */
  | { readonly kind: 'failed'; readonly error: ClientError }
  /** It could not be kept, or was taken out: it will not be sent. */
  | { readonly kind: 'dropped'; readonly error: ClientError };

/** The events of a client by name, each with what its listener is given. */
export interface ClientEvents {
  /**
   * A message that this device had not seen: pushed, or missed while it was
   * away, however much that was. Each is told once, those of a conversation in
   * the order of `seq`; not what a cold start brings, unless none of the user's
   * devices had it.
   *
   * What no timeline holds is read from the server for those who listen, so
   * listen before the client connects. Who listens to nothing else but what is
   * said now sets `missedMax` in the `tuning` to 0.
   */
  message: Message;
  /**
   * Messages that `message` will not tell of: they lie further back than
   * `missedMax`, or the server does not give them. `client.history` reads what
   * there is of them.
   */
  messagesSkipped: {
    readonly conversation: ConversationId;
    readonly fromSeq: number;
    readonly toSeq: number;
  };
  /** A message of one's own got further. */
  send: {
    readonly clientMsgId: ClientMsgId;
    readonly conversation: ConversationId;
    readonly update: SendUpdate;
  };
  /** A member's cursors moved. */
  cursorMoved: {
    readonly conversation: ConversationId;
    readonly user: UserId;
    readonly deliveredSeq: number;
    readonly readSeq: number;
  };
  /** People went on or off line. */
  presence: readonly Presence[];
  /** The connection's state changed. */
  status: Status;
  /** A session is open. */
  signedIn: Account;
  /** The connection ended or could not be opened. */
  disconnected: ClientError;
  /** The local store failed: what is shown goes on from memory. */
  storageFailed: ClientError;
}
