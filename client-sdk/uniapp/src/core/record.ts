/**
 * What is kept of a conversation, and unread as arithmetic.
 *
 * `unread = lastSeq - floorSeq`, where the floor is the highest of what was
 * read, what the user last sent, and what came before the user joined. Both
 * only grow, so what arrives late or twice changes nothing: there is no
 * counter that could drift.
 */
import type { Conversation } from '../gen/conversation.js';
import type { GroupInfo } from '../model/conversation.js';
import type { ConversationId, UserId } from '../model/ids.js';
import { peerOf } from '../model/ids.js';
import type { GroupEvent, Message } from '../model/message.js';
import { readGroup, readNumber } from '../model/wire.js';

/** What is kept of a conversation, also in the store. */
export interface ConversationRecord {
  readonly id: ConversationId;
  /** The newest seq known to exist. */
  lastSeq: number;
  /** Up to here this user's devices have everything. */
  deliveredSeq: number;
  /** Up to here this user has read. */
  readSeq: number;
  /** The part of `readSeq` that the server is known to have. */
  readConfirmedSeq: number;
  /** The highest seq that cannot count as unread. */
  floorSeq: number;
  /** The lowest seq that this user may see. */
  firstSeq: number;
  peerDeliveredSeq: number;
  peerReadSeq: number;
  /** The app was told of everything up to here. */
  toldSeq: number;
  /** Groups only. */
  group: GroupInfo | undefined;
  /** `group` counts in the events up to this seq, and none after it. */
  groupSeq: number;
  /** The user is no longer in it. */
  gone: boolean;
  activityMs: number;
}

/** A conversation of which nothing is known yet. */
export function newRecord(id: ConversationId): ConversationRecord {
  return {
    id,
    lastSeq: 0,
    deliveredSeq: 0,
    readSeq: 0,
    readConfirmedSeq: 0,
    floorSeq: 0,
    firstSeq: 1,
    peerDeliveredSeq: 0,
    peerReadSeq: 0,
    toldSeq: 0,
    group: undefined,
    groupSeq: 0,
    gone: false,
    activityMs: 0,
  };
}

/** Messages that the user has not read; none where the user is gone. */
export function unreadOf(record: ConversationRecord): number {
  return record.gone ? 0 : Math.max(record.lastSeq - record.floorSeq, 0);
}

/** A message exists; the user's own ones count as read. */
export function applyMessage(record: ConversationRecord, message: Message, me: UserId): void {
  raise(record, 'lastSeq', message.seq);
  if (message.sender === me) {
    raise(record, 'floorSeq', message.seq);
  }
  raise(record, 'activityMs', message.timeMs);
}

/**
 * Moves the user's own read cursor, never back and never past the end. Returns
 * whether it moved.
 */
export function applyRead(record: ConversationRecord, seq: number): boolean {
  const read = Math.min(seq, record.lastSeq);
  const moved = read > record.readSeq;
  raise(record, 'readSeq', read);
  raise(record, 'floorSeq', read);
  return moved;
}

/** Somebody's cursors moved, as the server tells it. */
export function applyCursor(
  record: ConversationRecord,
  user: UserId,
  cursors: { readonly deliveredSeq: number; readonly readSeq: number },
  me: UserId,
): void {
  const { deliveredSeq, readSeq } = cursors;
  if (user === me) {
    raise(record, 'deliveredSeq', deliveredSeq);
    raise(record, 'readSeq', readSeq);
    raise(record, 'readConfirmedSeq', readSeq);
    raise(record, 'floorSeq', readSeq);
  } else if (peerOf(record.id, me) === user) {
    raise(record, 'peerDeliveredSeq', Math.max(deliveredSeq, readSeq));
    raise(record, 'peerReadSeq', readSeq);
  }
}

/**
 * Takes over the server's state of a conversation that the user is in. Cursors
 * only grow; what can change both ways (the group) is replaced.
 */
export function applyState(record: ConversationRecord, state: Conversation, timeMs: number): void {
  const lastSeq = readNumber(state.lastSeq);
  const readSeq = readNumber(state.readSeq);
  const firstSeq = readNumber(state.firstSeq);
  raise(record, 'lastSeq', lastSeq);
  raise(record, 'deliveredSeq', readNumber(state.deliveredSeq));
  raise(record, 'readSeq', readSeq);
  raise(record, 'readConfirmedSeq', readSeq);
  raise(record, 'floorSeq', lastSeq - readNumber(state.unread));
  raise(record, 'floorSeq', readSeq);
  raise(record, 'floorSeq', Math.min(firstSeq - 1, lastSeq));
  record.firstSeq = Math.max(firstSeq, 1);
  raise(record, 'peerReadSeq', readNumber(state.peerReadSeq));
  raise(record, 'peerDeliveredSeq', readNumber(state.peerDeliveredSeq));
  raise(record, 'peerDeliveredSeq', record.peerReadSeq);
  record.gone = false;
  raise(record, 'activityMs', timeMs);
  const group = state.group === undefined ? undefined : readGroup(state.group);
  if (group !== undefined) {
    applyGroup(record, group, lastSeq);
  }
}

/**
 * Takes over a group as the server saw it at `seq`; what is known of a later
 * moment stands.
 */
export function applyGroup(record: ConversationRecord, group: GroupInfo, seq: number): void {
  raise(record, 'activityMs', group.createdMs);
  if (record.group === undefined || seq >= record.groupSeq) {
    record.group = group;
    raise(record, 'groupSeq', seq);
  }
}

/**
 * Applies a change of the group that its timeline tells of. Each event is to
 * be applied once, in the order of seqs, from the one after `groupSeq` on.
 */
export function applyEvent(record: ConversationRecord, event: GroupEvent, me: UserId): void {
  const { group } = record;
  if (group === undefined) {
    return;
  }
  switch (event.kind) {
    case 'invited':
      record.group = { ...group, memberCount: group.memberCount + event.userCount };
      break;
    case 'left':
    case 'removed':
      record.group = { ...group, memberCount: Math.max(group.memberCount - event.userCount, 0) };
      break;
    case 'roleChanged':
      if (event.users.includes(me)) {
        record.group = { ...group, role: event.role };
      } else if (event.role === 'owner' && event.actor === me) {
        // Who names a new owner is an admin from then on.
        record.group = { ...group, role: 'admin' };
      }
      break;
    case 'updated':
      if (event.name !== '') {
        record.group = { ...group, name: event.name };
      }
      break;
    case 'dissolved':
      record.group = { ...group, dissolved: true };
      break;
    default:
  }
}

/** Forgets everything after `lastSeq`: the server no longer has it. */
export function rewindRecord(record: ConversationRecord, lastSeq: number): void {
  for (const key of SEQS) {
    record[key] = Math.min(record[key], lastSeq);
  }
}

function raise(
  record: ConversationRecord,
  key: (typeof SEQS)[number] | 'activityMs',
  value: number,
): void {
  record[key] = Math.max(record[key], value);
}

const SEQS = [
  'lastSeq',
  'deliveredSeq',
  'readSeq',
  'readConfirmedSeq',
  'floorSeq',
  'peerDeliveredSeq',
  'peerReadSeq',
  'toldSeq',
  'groupSeq',
] as const;
