/**
 * How far the members of an open group are, for "read by N". The server tells
 * cursors in groups of up to 100 members, and ListMembers has them to begin
 * with; both are taken in while the group is open.
 */
import { ListMembers, type Members } from '../gen/group.js';
import { CURSOR_PUSH_MEMBERS_MAX, MEMBERS_LIMIT_MAX } from '../limits.js';
import type { ConversationId, UserId } from '../model/ids.js';
import { groupOf } from '../model/ids.js';
import type { GroupEvent, SendState } from '../model/message.js';
import { readMember } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import type { Conv, CoreState, MemberCursors } from './state.js';

/** Cursors are wanted of a group that was opened. */
export function wantMembers(core: CoreState, id: ConversationId): void {
  if (groupOf(id) !== undefined) {
    core.membersDue.add(id);
  }
}

/** A new session: what moved meanwhile was not told. */
export function askAllMembers(core: CoreState): void {
  core.convs.forEach((conv, id) => {
    if (conv.open > 0) {
      wantMembers(core, id);
    }
  });
}

/** Asks for what is due. Called while the session is live. */
export function flushMembers(core: CoreState): void {
  for (const id of core.membersDue) {
    const record = core.convs.get(id)?.record;
    const group = groupOf(id);
    const count = record?.group?.memberCount ?? Infinity;
    if (group !== undefined && record?.gone === false && count <= CURSOR_PUSH_MEMBERS_MAX) {
      const request = ListMembers.encode({ group, afterUser: '0', limit: MEMBERS_LIMIT_MAX });
      core.requestFrame({ kind: 'members', conversation: id }, Opcode.ListMembers, request);
    }
  }
  core.membersDue.clear();
}

/** The members of an open group came. */
export function onMembers(core: CoreState, id: ConversationId, reply: Members): void {
  const conv = core.convs.get(id);
  if (conv === undefined || conv.open === 0) {
    return;
  }
  const before = conv.members;
  conv.members = new Map();
  for (const { user, deliveredSeq, readSeq } of reply.members.map(readMember)) {
    conv.members.set(user, highest({ deliveredSeq, readSeq }, before?.get(user)));
  }
  core.dirtyTimelines.add(id);
}

/** A member's cursors moved. */
export function noteMemberCursor(
  core: CoreState,
  conv: Conv,
  user: UserId,
  cursors: MemberCursors,
): void {
  const before = conv.members?.get(user);
  // Somebody who joined since is asked for with the event that says so.
  if (before !== undefined) {
    conv.members?.set(user, highest(cursors, before));
    core.dirtyTimelines.add(conv.record.id);
  }
}

/** Members came or went. */
export function noteMemberEvent(core: CoreState, conv: Conv, event: GroupEvent): void {
  if (conv.members !== undefined && MEMBER_EVENTS.includes(event.kind)) {
    wantMembers(core, conv.record.id);
  }
}

/** How far stored messages of one's own got, by their seq. */
export function sendStates(conv: Conv, me: UserId): (seq: number) => SendState {
  const { record, members } = conv;
  const read = [record.peerReadSeq];
  const delivered = [record.peerDeliveredSeq];
  members?.forEach((cursors, user) => {
    if (user !== me) {
      read.push(cursors.readSeq);
      delivered.push(Math.max(cursors.deliveredSeq, cursors.readSeq));
    }
  });
  read.sort(descending);
  delivered.sort(descending);
  return (seq) => {
    const readBy = countAtLeast(read, seq);
    if (readBy > 0) {
      return { kind: 'read', by: readBy };
    }
    const deliveredBy = countAtLeast(delivered, seq);
    return deliveredBy > 0 ? { kind: 'delivered', by: deliveredBy } : SAVED;
  };
}

function descending(a: number, b: number): number {
  return b - a;
}

/** How many of a descending list are `seq` or more. */
function countAtLeast(list: readonly number[], seq: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as number) >= seq) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

function highest(a: MemberCursors, b: MemberCursors | undefined): MemberCursors {
  return {
    deliveredSeq: Math.max(a.deliveredSeq, b?.deliveredSeq ?? 0),
    readSeq: Math.max(a.readSeq, b?.readSeq ?? 0),
  };
}

const MEMBER_EVENTS: readonly string[] = ['invited', 'left', 'removed'];
/** A message that came back from the server's log is on its disk. */
const SAVED: SendState = { kind: 'saved', level: 'durable' };
