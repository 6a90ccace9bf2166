/**
 * Between what is on the wire and what an app sees. Reading never throws: what
 * cannot be understood is `undefined` or `unknown`.
 */

import type * as authPb from '../gen/auth.js';
import type { DeviceState as DeviceStatePb } from '../gen/auth.js';
import * as conversationPb from '../gen/conversation.js';
import type * as groupPb from '../gen/group.js';
import type { Profile as ProfilePb } from '../gen/sync.js';
import { CLIENT_ID_BYTES } from '../limits.js';
import { hexDecode, hexEncode } from '../wire/hex.js';
import type { DeviceClass, DeviceState, GroupInfo, GroupMember, Profile } from './conversation.js';
import type { ClientMsgId, ConversationId, UserId } from './ids.js';
import { directConversation, isId } from './ids.js';
import type {
  AckLevel,
  Body,
  GroupEvent,
  GroupEventKind,
  Message,
  Role,
  SendAck,
} from './message.js';

/** The conversation that the wire names; `undefined` when it is not well formed. */
export function readConversationId(
  id: conversationPb.ConversationId | undefined,
): ConversationId | undefined {
  if (id === undefined) {
    return undefined;
  }
  if (isId(id.group)) {
    return id.lowUser === '0' && id.highUser === '0' ? `g:${id.group}` : undefined;
  }
  if (id.group !== '0' || !isId(id.lowUser) || !isId(id.highUser)) {
    return undefined;
  }
  const direct = directConversation(id.lowUser, id.highUser);
  return direct === `d:${id.lowUser}:${id.highUser}` ? direct : undefined;
}

/** The wire form of a conversation id. */
export function writeConversationId(id: ConversationId): conversationPb.ConversationId {
  const [kind, first = '0', second = '0'] = id.split(':');
  return kind === 'g'
    ? { group: first, lowUser: '0', highUser: '0' }
    : { group: '0', lowUser: first, highUser: second };
}

/** `undefined` for nobody. */
export function readUser(user: string): UserId | undefined {
  return isId(user) ? user : undefined;
}

/** `undefined` unless it is 16 bytes. */
export function readClientMsgId(bytes: Uint8Array): ClientMsgId | undefined {
  return bytes.length === CLIENT_ID_BYTES ? hexEncode(bytes) : undefined;
}

/** The bytes of an id; `undefined` when it is not well formed. */
export function writeClientMsgId(id: ClientMsgId): Uint8Array | undefined {
  const bytes = hexDecode(id);
  return bytes?.length === CLIENT_ID_BYTES ? bytes : undefined;
}

/** A seq or a time: never above what a `number` holds exactly. */
export function readNumber(text: string): number {
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER);
}

/** What a body says, and whether that is all it says. */
export function readBody(encoded: Uint8Array): { body: Body; newerBody: Uint8Array | undefined } {
  let body: Body = { kind: 'unknown' };
  try {
    body = bodyOf(conversationPb.Body.decode(encoded));
  } catch {
    // Bytes of a sender that no client of this version would make.
  }
  return { body, newerBody: sameBytes(writeBody(body), encoded) ? undefined : encoded };
}

function bodyOf(body: conversationPb.Body): Body {
  if (body.text !== undefined) {
    return { kind: 'text', text: body.text };
  }
  if (body.opaque !== undefined) {
    const { contentType, data, summary } = body.opaque;
    return { kind: 'opaque', contentType, data, summary };
  }
  return body.event === undefined
    ? { kind: 'unknown' }
    : { kind: 'event', event: readEvent(body.event) };
}

/** The bytes of a body, as far as this version knows it. */
export function writeBody(body: Body): Uint8Array {
  const message: conversationPb.Body = {};
  if (body.kind === 'text') {
    message.text = body.text;
  } else if (body.kind === 'opaque') {
    const { contentType, data, summary } = body;
    message.opaque = { contentType, data, summary };
  } else if (body.kind === 'event') {
    message.event = writeEvent(body.event);
  }
  return conversationPb.Body.encode(message).finish();
}

function readEvent(event: conversationPb.GroupEvent): GroupEvent {
  return {
    kind: EVENT_KINDS[event.kind] ?? 'unknown',
    actor: event.actor,
    users: event.users,
    userCount: event.userCount,
    name: event.name,
    role: readRole(event.role),
  };
}

function writeEvent(event: GroupEvent): conversationPb.GroupEvent {
  return {
    kind: Math.max(EVENT_KINDS.indexOf(event.kind), 0) as conversationPb.GroupEvent['kind'],
    actor: event.actor,
    users: [...event.users],
    userCount: event.userCount,
    name: event.name,
    role: Math.max(ROLES.indexOf(event.role), 0),
  };
}

/** Reads a message; `undefined` when it has no place in a conversation. */
export function readMessage(message: conversationPb.Message): Message | undefined {
  const conversation = readConversationId(message.conversation);
  const seq = readNumber(message.seq);
  if (conversation === undefined || seq === 0) {
    return undefined;
  }
  return {
    conversation,
    seq,
    messageId: message.messageId,
    sender: readUser(message.sender),
    timeMs: readNumber(message.timeMs),
    clientMsgId: readClientMsgId(message.clientMsgId),
    ...readBody(message.body),
  };
}

/** Reads messages, passing over those that have no place. */
export function readMessages(messages: readonly conversationPb.Message[]): Message[] {
  return messages.map(readMessage).filter((message) => message !== undefined);
}

export function readAck(ack: conversationPb.SendAck): SendAck {
  return {
    messageId: ack.messageId,
    seq: readNumber(ack.seq),
    timeMs: readNumber(ack.timeMs),
    level: ACK_LEVELS[ack.level] ?? 'accepted',
    repeatedSend: ack.repeatedSend,
  };
}

export function writeLevel(level: AckLevel): conversationPb.AckLevel {
  return ACK_LEVELS.indexOf(level) as conversationPb.AckLevel;
}

export function readRole(role: number): Role {
  return ROLES[role] ?? 'unknown';
}

export function writeRole(role: Role): groupPb.Role {
  return Math.max(ROLES.indexOf(role), 0) as groupPb.Role;
}

/** Reads a group; `undefined` when it names none. */
export function readGroup(group: conversationPb.Group): GroupInfo | undefined {
  if (!isId(group.id)) {
    return undefined;
  }
  return {
    id: group.id,
    name: group.name,
    memberCount: group.memberCount,
    historyVisible: group.historyVisible,
    role: readRole(group.role),
    createdMs: readNumber(group.createdMs),
    dissolved: group.dissolved,
  };
}

export function readMember(member: groupPb.Member): GroupMember {
  return {
    user: member.user,
    role: readRole(member.role),
    joinedSeq: readNumber(member.joinedSeq),
    deliveredSeq: readNumber(member.deliveredSeq),
    readSeq: readNumber(member.readSeq),
  };
}

/** Reads a person's names; `undefined` when they name nobody. */
export function readProfile(profile: ProfilePb): Profile | undefined {
  const { user, name, displayName } = profile;
  return isId(user) ? { user, name, displayName } : undefined;
}

export function readDevice(state: DeviceStatePb): DeviceState {
  return {
    id: state.device?.id ?? '',
    class: DEVICE_CLASSES[state.device?.class ?? 0] ?? 'unspecified',
    name: state.device?.name ?? '',
    online: state.online,
    current: state.current,
    lastSeenMs: readNumber(state.lastSeenMs),
    createdMs: readNumber(state.createdMs),
  };
}

export function writeDeviceClass(value: DeviceClass): authPb.DeviceClass {
  return Math.max(DEVICE_CLASSES.indexOf(value), 0) as authPb.DeviceClass;
}

/** True when both hold the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

// In the order of their numbers on the wire.
const ACK_LEVELS: readonly AckLevel[] = ['durable', 'written', 'accepted'];
const ROLES: readonly Role[] = ['unknown', 'owner', 'admin', 'member'];
const DEVICE_CLASSES: readonly DeviceClass[] = [
  'unspecified',
  'phone',
  'tablet',
  'desktop',
  'web',
  'bot',
];
const EVENT_KINDS: readonly GroupEventKind[] = [
  'unknown',
  'created',
  'invited',
  'left',
  'removed',
  'roleChanged',
  'updated',
  'dissolved',
];
