/**
 * Ids. User, group and message ids are 64-bit on the wire and decimal strings
 * here: a JavaScript `number` cannot hold them. A conversation id is a string
 * that can be a map key, a route parameter or a Vue `:key` as it is.
 */

/** A user: a decimal number as text, never `'0'`. */
export type UserId = string;

/** A group: a decimal number as text, never `'0'`. */
export type GroupId = string;

/**
 * A conversation: `d:<lower user>:<higher user>` for two people,
 * `g:<group>` for a group.
 */
export type ConversationId = `d:${string}:${string}` | `g:${string}`;

/** 16 random bytes as 32 hexadecimal digits: names one message for ever. */
export type ClientMsgId = string;

/** The conversation of two people; `undefined` when they are the same. */
export function directConversation(a: UserId, b: UserId): ConversationId | undefined {
  const order = compareIds(a, b);
  if (order === 0) {
    return undefined;
  }
  return order < 0 ? `d:${a}:${b}` : `d:${b}:${a}`;
}

/** The conversation of a group. */
export function groupConversation(group: GroupId): ConversationId {
  return `g:${group}`;
}

/** The group of a conversation; `undefined` for a direct one. */
export function groupOf(id: ConversationId): GroupId | undefined {
  return id.startsWith('g:') ? id.slice(2) : undefined;
}

/** True for a group's conversation. */
export function isGroup(id: ConversationId): boolean {
  return id.startsWith('g:');
}

/** The other person of a direct conversation; `undefined` for a group. */
export function peerOf(id: ConversationId, me: UserId): UserId | undefined {
  const parts = id.split(':');
  if (parts[0] !== 'd') {
    return undefined;
  }
  if (parts[1] === me) {
    return parts[2];
  }
  return parts[2] === me ? parts[1] : undefined;
}

/**
 * Reads a conversation id that came from outside, for example from a route;
 * `undefined` when it is not well formed.
 */
export function parseConversationId(text: string): ConversationId | undefined {
  const parts = text.split(':');
  const [kind, first, second] = parts;
  if (kind === 'g' && parts.length === 2 && isId(first)) {
    return `g:${first}`;
  }
  if (kind === 'd' && parts.length === 3 && isId(first) && isId(second)) {
    const id = directConversation(first, second);
    return id === text ? id : undefined;
  }
  return undefined;
}

/** Orders decimal ids by their value. */
export function compareIds(a: string, b: string): number {
  if (a.length !== b.length) {
    return a.length - b.length;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

/** True for a decimal number from 1 to 2^64 - 1 without leading zeros. */
export function isId(text: string | undefined): text is string {
  return text !== undefined && /^[1-9][0-9]{0,19}$/.test(text) && compareIds(text, ID_MAX) <= 0;
}

const ID_MAX = '18446744073709551615';
