/** Conversations, people, devices: what lists show. */
import type { ConversationId, GroupId, UserId } from './ids.js';
import type { Message, Role } from './message.js';

/** A person's names; they never change. */
export interface Profile {
  readonly user: UserId;
  /** The account name, unique. */
  readonly name: string;
  /** The name shown to people. */
  readonly displayName: string;
}

/** A group as this user sees it. */
export interface GroupInfo {
  readonly id: GroupId;
  readonly name: string;
  readonly memberCount: number;
  /** Whether newcomers see messages from before they joined. */
  readonly historyVisible: boolean;
  /** This user's own role. */
  readonly role: Role;
  /** When it was made, in milliseconds since 1970. */
  readonly createdMs: number;
  /** Nobody can send any more. */
  readonly dissolved: boolean;
}

/** A member of a group. */
export interface GroupMember {
  readonly user: UserId;
  readonly role: Role;
  readonly joinedSeq: number;
  readonly deliveredSeq: number;
  readonly readSeq: number;
}

/**
 * What this device alone keeps of a conversation: the protocol has no such
 * thing, so other devices do not see it.
 */
export interface ConversationSettings {
  /** Comes first in the list. */
  readonly pinned: boolean;
  /** Not counted in the total of unread messages. */
  readonly muted: boolean;
  /** Text that was not sent yet; at most 16,384 bytes, longer is cut. */
  readonly draft: string;
  /** Left out of the list until a newer message arrives. */
  readonly hidden: boolean;
}

/** A conversation as lists show it: a snapshot that never changes. */
export interface ConversationState {
  readonly id: ConversationId;
  /** The group's name or the other person's; empty until it is known. */
  readonly title: string;
  /** The newest seq known to exist. */
  readonly lastSeq: number;
  readonly deliveredSeq: number;
  readonly readSeq: number;
  /** Messages that the user has not read. */
  readonly unread: number;
  /** The lowest seq that this user may see. */
  readonly firstSeq: number;
  /** The newest message held. */
  readonly lastMessage: Message | undefined;
  /** Direct conversations: the other person's id. */
  readonly peerId: UserId | undefined;
  /** Direct conversations: the other person, once known. */
  readonly peer: Profile | undefined;
  readonly peerDeliveredSeq: number;
  readonly peerReadSeq: number;
  /** Groups only. */
  readonly group: GroupInfo | undefined;
  /** The user is no longer in it; what was held of it stays. */
  readonly gone: boolean;
  /** When something last happened, in milliseconds since 1970. */
  readonly activityMs: number;
  /** Own messages that are not stored yet, failed ones included. */
  readonly pending: number;
  /** Own messages that were refused for good. */
  readonly failed: number;
  /** Kept on this device only. */
  readonly settings: ConversationSettings;
}

/** What kind of device it is. */
export type DeviceClass = 'bot' | 'desktop' | 'phone' | 'tablet' | 'unspecified' | 'web';

/** A device of the account. */
export interface DeviceState {
  readonly id: string;
  readonly class: DeviceClass;
  readonly name: string;
  readonly online: boolean;
  /** It is this one. */
  readonly current: boolean;
  readonly lastSeenMs: number;
  readonly createdMs: number;
}

/** Whether somebody is on line. */
export interface Presence {
  readonly user: UserId;
  readonly online: boolean;
  /** When last seen, in milliseconds since 1970; zero when not known. */
  readonly lastSeenMs: number;
}

/** What came of asking to watch one person. */
export interface PresenceWatch {
  readonly user: UserId;
  /** False while there is no direct conversation with them. */
  readonly watched: boolean;
}

/** Who is signed in on this device. */
export interface Account {
  readonly user: UserId;
  readonly name: string;
  readonly displayName: string;
}
