/** Messages as an app sees them. All of it is to be read, not written to. */
import type { ClientError } from '../error.js';
import type { ClientMsgId, ConversationId, UserId } from './ids.js';

/**
 * How safe a message must be before the server acknowledges it: `durable` is
 * on its disk, `written` survives a killed server but not a power cut,
 * `accepted` neither.
 */
export type AckLevel = 'accepted' | 'durable' | 'written';

/** What a change of a group was. */
export type GroupEventKind =
  | 'created'
  | 'dissolved'
  | 'invited'
  | 'left'
  | 'removed'
  | 'roleChanged'
  | 'unknown'
  | 'updated';

/** This user's or a member's place in a group. */
export type Role = 'admin' | 'member' | 'owner' | 'unknown';

/** A change of a group, told in its timeline. */
export interface GroupEvent {
  readonly kind: GroupEventKind;
  /** Who did it. */
  readonly actor: UserId;
  /** Who it was done to; at most 32 are listed. */
  readonly users: readonly UserId[];
  /** How many it was done to. */
  readonly userCount: number;
  /** The new name, where the kind has one. */
  readonly name: string;
  /** The new role, where the kind has one. */
  readonly role: Role;
}

/** Text: 1 to 16,384 bytes of UTF-8. */
export interface TextBody {
  readonly kind: 'text';
  readonly text: string;
}

/** A typed body that the server does not look into. */
export interface OpaqueBody {
  readonly kind: 'opaque';
  /** A media type, 1 to 128 bytes. */
  readonly contentType: string;
  /** At most 65,536 bytes. */
  readonly data: Uint8Array;
  /** What lists may show instead; at most 256 bytes. */
  readonly summary: string;
}

/** A change of the group. Only the server writes these. */
export interface EventBody {
  readonly kind: 'event';
  readonly event: GroupEvent;
}

/** A kind that this version does not know: show it as "something newer". */
export interface UnknownBody {
  readonly kind: 'unknown';
}

/** What a message says. */
export type Body = EventBody | OpaqueBody | TextBody | UnknownBody;

/** A message that the server has. */
export interface Message {
  readonly conversation: ConversationId;
  /** Its place in the conversation: dense, from 1. */
  readonly seq: number;
  /** Unique in the whole system. */
  readonly messageId: string;
  /** Who wrote it; `undefined` for the server. */
  readonly sender: UserId | undefined;
  /** When the server stored it, in milliseconds since 1970. */
  readonly timeMs: number;
  /** As its writer named it. */
  readonly clientMsgId: ClientMsgId | undefined;
  readonly body: Body;
  /**
   * The whole body as it came, when it says more than this version knows:
   * protobuf bytes of a `Body`.
   */
  readonly newerBody: Uint8Array | undefined;
}

/** The server's word that it has a message. */
export interface SendAck {
  readonly messageId: string;
  readonly seq: number;
  readonly timeMs: number;
  /** The level that was reached. */
  readonly level: AckLevel;
  /** An earlier attempt had already stored it. */
  readonly repeatedSend: boolean;
}

/** How far one of the user's own messages got. */
export type SendState =
  /** In the outbox: it will be sent until the result is definite. */
  | { readonly kind: 'sending' }
  /** The server has it, as safe as `level` says. */
  | { readonly kind: 'saved'; readonly level: AckLevel }
  /** On a device of so many other people (1 in direct conversations). */
  | { readonly kind: 'delivered'; readonly by: number }
  /** Read by so many other people (1 in direct conversations). */
  | { readonly kind: 'read'; readonly by: number }
  /** Refused for good: `retry` or `discard` it. */
  | { readonly kind: 'failed'; readonly error: ClientError };

/** One of the user's own messages that the server has not stored yet. */
export interface PendingMessage {
  readonly clientMsgId: ClientMsgId;
  readonly conversation: ConversationId;
  readonly body: Body;
  /** When it was written, in milliseconds since 1970 by this device. */
  readonly createdMs: number;
  /** `sending` or `failed`. */
  readonly state: SendState;
}

/** A line of a timeline: a stored message, or a pending one below them. */
export interface TimelineItem {
  /** The same while a message goes from pending to stored. */
  readonly key: string;
  /** `undefined` while it is pending. */
  readonly seq: number | undefined;
  /** `undefined` for the server's own words. */
  readonly sender: UserId | undefined;
  /** The signed-in user wrote it. */
  readonly own: boolean;
  /** By the server, or by this device while it is pending. */
  readonly timeMs: number;
  readonly clientMsgId: ClientMsgId | undefined;
  readonly body: Body;
  /** The stored message; `undefined` while it is pending. */
  readonly message: Message | undefined;
  /** How far it got; `undefined` for what others wrote. */
  readonly state: SendState | undefined;
}

/** A timeline as an app shows it: a snapshot that never changes. */
export interface TimelineView {
  readonly conversation: ConversationId;
  /**
   * Stored messages without a gap, ascending by seq, then, unless `hasNewer`,
   * the pending ones in the order in which they were written. An item that did not change is the
   * same object as in the view before.
   */
  readonly items: readonly TimelineItem[];
  /** Older messages can be paged in. */
  readonly hasOlder: boolean;
  /**
   * It was read back so far that the newest messages are not among the items:
   * `loadNewer` pages them in, `toNewest` goes there at once.
   */
  readonly hasNewer: boolean;
  /** Newer messages exist and are on their way. */
  readonly catchingUp: boolean;
  /** The newest seq known to exist. */
  readonly lastSeq: number;
  /** Up to here this user has read. */
  readonly readSeq: number;
  /** Direct conversations: the other person's delivered cursor. */
  readonly peerDeliveredSeq: number;
  /** Direct conversations: the other person's read cursor. */
  readonly peerReadSeq: number;
}
