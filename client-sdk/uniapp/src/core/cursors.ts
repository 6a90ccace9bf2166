/**
 * The cursors that go to the server and come from it: what this user's devices
 * have, and what was read.
 *
 * Invariants: a cursor only grows; a delivered mark goes once per conversation
 * and burst, and again after a reconnect unless an answered heartbeat covers
 * it; a read mark goes until the server has it.
 */
import type { CursorMoved } from '../gen/conversation.js';
import { MoveCursor } from '../gen/conversation.js';
import type { ConversationId } from '../model/ids.js';
import { readConversationId, readNumber, readUser, writeConversationId } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { noteMemberCursor } from './receipts.js';
import { applyCursor, applyRead } from './record.js';
import type { CoreState } from './state.js';
import { isBehind } from './telling.js';

/**
 * Marks a conversation read up to `seq`, at once on this device and as soon as
 * can be on the server.
 */
export function markRead(core: CoreState, id: ConversationId, seq: number): void {
  const conv = core.convs.get(id);
  if (conv !== undefined && applyRead(conv.record, seq)) {
    core.touch(id);
    if (core.link.phase === 'live') {
      core.readsDue.add(id);
    }
  }
}

/** Somebody's cursors moved. */
export function onCursorMoved(core: CoreState, moved: CursorMoved): void {
  const id = readConversationId(moved.conversation);
  const user = readUser(moved.user);
  const { me } = core;
  const conv = id && core.convs.get(id);
  if (id === undefined || user === undefined || me === undefined || conv === undefined) {
    return;
  }
  const cursors = {
    deliveredSeq: readNumber(moved.deliveredSeq),
    readSeq: readNumber(moved.readSeq),
  };
  applyCursor(conv.record, user, cursors, me);
  noteMemberCursor(core, conv, user, cursors);
  core.touch(id);
  core.events.push({ kind: 'cursorMoved', moved: { conversation: id, user, ...cursors } });
}

/** Moves cursors on the wire: one message per conversation and burst. */
export function flushCursors(core: CoreState): void {
  core.deliveredDue.forEach((seq, id) => {
    const message = {
      conversation: writeConversationId(id),
      deliveredSeq: String(seq),
      readSeq: '0',
    };
    core.writeFrame(Opcode.MoveCursor, '0', MoveCursor.encode(message));
    core.cursorsUnconfirmed.set(id, seq);
  });
  core.deliveredDue.clear();
  for (const id of core.readsDue) {
    const record = core.convs.get(id)?.record;
    if (record !== undefined) {
      const message = MoveCursor.encode({
        conversation: writeConversationId(id),
        deliveredSeq: String(Math.max(record.deliveredSeq, record.readSeq)),
        readSeq: String(record.readSeq),
      });
      const purpose = { kind: 'read', conversation: id, seq: record.readSeq } as const;
      core.requestFrame(purpose, Opcode.MoveCursor, message);
    }
  }
  core.readsDue.clear();
}

/**
 * Notes that the newest messages are on this device, when others sent them. What
 * is still to be read comes first.
 */
export function noteDelivered(core: CoreState, id: ConversationId): void {
  const conv = core.convs.get(id);
  if (conv === undefined || core.me === undefined || isBehind(conv)) {
    return;
  }
  const seq = conv.timeline.newestOfOthers(conv.record.deliveredSeq + 1, core.me);
  if (seq !== undefined) {
    conv.record.deliveredSeq = seq;
    core.deliveredDue.set(id, seq);
  }
}

/** The server has a read mark. */
export function onReadTaken(core: CoreState, id: ConversationId, seq: number): void {
  const record = core.convs.get(id)?.record;
  if (record !== undefined) {
    record.readConfirmedSeq = Math.max(record.readConfirmedSeq, seq);
    core.dirtyRecords.add(id);
  }
}

/** A read mark was not taken. `again`: it may be later. */
export function onReadFailed(
  core: CoreState,
  id: ConversationId,
  again: boolean,
  retryAfterMs: number,
): void {
  if (again) {
    core.readsRetryAtMs = core.nowMs + Math.max(retryAfterMs, READ_RETRY_MS);
    return;
  }
  const record = core.convs.get(id)?.record;
  if (record !== undefined) {
    // It will never be taken: no longer a member, say.
    record.readConfirmedSeq = record.readSeq;
    core.dirtyRecords.add(id);
  }
}

/** Time passed: read marks that were refused for now go again. */
export function handleReadsTimeout(core: CoreState): void {
  const at = core.readsRetryAtMs;
  if (core.link.phase === 'live' && at !== undefined && at <= core.nowMs) {
    resendReads(core);
  }
}

/** Read marks that the server is not known to have go again. */
export function resendReads(core: CoreState): void {
  core.readsRetryAtMs = undefined;
  core.convs.forEach(({ record }) => {
    if (record.readSeq > record.readConfirmedSeq) {
      core.readsDue.add(record.id);
    }
  });
}

const READ_RETRY_MS = 1_000;
