/**
 * Taking in what the server says of conversations: pages of a sync, pushes,
 * acks. They may come in any order and more than once, because everything they
 * carry is merged by seq.
 */
import type { Conversation, Message as MessagePb } from '../gen/conversation.js';
import type { SyncedConversation } from '../gen/sync.js';
import type { ConversationId } from '../model/ids.js';
import type { Message } from '../model/message.js';
import { readConversationId, readMessage, readMessages, readNumber } from '../model/wire.js';
import { noteDelivered } from './cursors.js';
import { GAP_MESSAGES_MAX, noteGap } from './gaps.js';
import { followEvents } from './groups.js';
import { hiOf, toNewest } from './paging.js';
import { learnPeer } from './people.js';
import { noteContact } from './presence.js';
import { applyMessage, applyState, rewindRecord } from './record.js';
import { messageKey, messageRow } from './rows.js';
import { noteSettled } from './sends.js';
import type { CoreState } from './state.js';
import { noteUnknown } from './sync.js';
import { tellMessages, toldUpTo } from './telling.js';
import { Timeline } from './timeline.js';
import { rebase, trim } from './windows.js';

interface State {
  readonly id: ConversationId;
  readonly wire: Conversation;
  readonly last: Message | undefined;
}

function readState(wire: Conversation | undefined): State | undefined {
  const id = readConversationId(wire?.id);
  if (wire === undefined || id === undefined) {
    return undefined;
  }
  return { id, wire, last: wire.lastMessage && readMessage(wire.lastMessage) };
}

/** A conversation of a sync page. */
export function applySynced(core: CoreState, synced: SyncedConversation): void {
  const state = readState(synced.state);
  if (state === undefined) {
    return;
  }
  const { id, wire, last } = state;
  if (wire.gone) {
    return markGone(core, id);
  }
  const messages = readMessages(synced.messages);
  const fresh = isFresh(core, id);
  if (fresh) {
    startTimeline(core, wire, id, messages[0] ?? last);
  } else {
    rewindIfShorter(core, id, readNumber(wire.lastSeq));
    if (synced.tooOld) {
      rebase(core, id, messages[0]?.seq ?? readNumber(wire.lastSeq) + 1);
    }
  }
  for (const message of messages) {
    takeMessage(core, message);
  }
  if (fresh && last !== undefined) {
    takeMessage(core, last);
  }
  takeState(core, id, wire, last?.timeMs ?? 0);
}

/** The user's list changed. */
export function onConversationChanged(core: CoreState, wire: Conversation): void {
  const state = readState(wire);
  if (state === undefined) {
    return;
  }
  const { id, last } = state;
  if (wire.gone) {
    return markGone(core, id);
  }
  if (isFresh(core, id)) {
    startTimeline(core, wire, id, last);
  }
  if (last !== undefined) {
    takeMessage(core, last);
  }
  takeState(core, id, wire, last?.timeMs ?? 0);
}

/** A message was pushed. */
export function onMessage(core: CoreState, wire: MessagePb): void {
  const message = readMessage(wire);
  if (message === undefined) {
    return;
  }
  const { conversation: id, seq } = message;
  const conv = core.convs.get(id);
  if (conv !== undefined) {
    conv.heardSeq = Math.max(conv.heardSeq, seq);
  } else if (seq === 1) {
    // A direct conversation that begins needs no telling.
    core.conv(id).heardSeq = 1;
  } else {
    return noteUnknown(core, id, seq);
  }
  takeMessage(core, message);
  followEvents(core, id);
}

/**
 * Takes in a message that the server stored, from wherever it came. What it
 * tells of a group is left to `followEvents`, once what came with it is known.
 */
export function takeMessage(core: CoreState, message: Message): void {
  const { me } = core;
  if (me === undefined) {
    return;
  }
  const { conversation: id } = message;
  settle(core, message);
  const conv = core.conv(id);
  if (!conv.timeline.insert(message)) {
    return;
  }
  applyMessage(conv.record, message, me);
  noteContact(core, id);
  core.heldMessages++;
  core.storedMessages++;
  core.put(messageRow(message));
  learnPeer(core, id, me);
  noteGap(core, id);
  // What is trimmed was told before, or will be read again.
  tellMessages(core, id);
  noteDelivered(core, id);
  trim(core, id);
  core.touch(id);
}

/** When it is one of one's own that came back: its result is known, without an ack. */
export function settle(core: CoreState, message: Message): void {
  const { sender, clientMsgId } = message;
  if (sender !== core.me || clientMsgId === undefined) {
    return;
  }
  const entry = core.outbox.settle(clientMsgId);
  if (entry !== undefined) {
    const { messageId, seq, timeMs } = message;
    const ack = { messageId, seq, timeMs, level: entry.level, repeatedSend: true };
    noteSettled(core, entry, { kind: 'saved', ack });
  }
}

/** The user is not in a conversation any more. What is held of it stays. */
export function markGone(core: CoreState, id: ConversationId): void {
  const conv = core.convs.get(id);
  if (conv !== undefined && !conv.record.gone) {
    conv.record.gone = true;
    core.gaps.delete(id);
    core.missed.delete(id);
    core.touch(id);
  }
}

function takeState(core: CoreState, id: ConversationId, wire: Conversation, timeMs: number): void {
  const unknown = core.unknown.get(id);
  core.unknown.delete(id);
  const conv = core.conv(id);
  applyState(conv.record, wire, timeMs);
  if (unknown !== undefined) {
    conv.heardSeq = Math.max(conv.heardSeq, unknown.heardSeq);
    conv.record.lastSeq = Math.max(conv.record.lastSeq, unknown.heardSeq);
  }
  conv.timeline.extendTo(conv.record.lastSeq);
  toldUpTo(conv, conv.record.firstSeq - 1);
  if (conv.past !== undefined && (conv.past.messages[0]?.seq ?? 0) < conv.record.firstSeq) {
    toNewest(core, id);
  }
  if (conv.record.firstSeq > conv.timeline.lo) {
    rebase(core, id, conv.record.firstSeq);
  }
  tellMessages(core, id);
  followEvents(core, id);
  noteGap(core, id);
  noteDelivered(core, id);
  core.touch(id);
}

/**
 * A store that the server brought back shorter (it acknowledged below
 * `durable` and lost power) wins over what is held here, unless newer messages
 * were heard on this very connection.
 */
function rewindIfShorter(core: CoreState, id: ConversationId, lastSeq: number): void {
  const conv = core.convs.get(id);
  if (conv === undefined || lastSeq >= conv.timeline.last || conv.heardSeq > lastSeq) {
    return;
  }
  const before = conv.timeline.length;
  conv.timeline.rewind(lastSeq);
  if (conv.past !== undefined && hiOf(conv.past) > lastSeq) {
    toNewest(core, id);
  }
  core.heldMessages -= before - conv.timeline.length;
  core.storedMessages -= before - conv.timeline.length;
  rewindRecord(conv.record, lastSeq);
  conv.ownAcked.clear();
  core.change({
    kind: 'removeRange',
    section: 'message',
    from: messageKey(id, lastSeq + 1),
    to: `${id}/~`,
  });
  core.touch(id);
}

function isFresh(core: CoreState, id: ConversationId): boolean {
  return (core.convs.get(id)?.timeline.last ?? 0) === 0;
}

/**
 * Where the timeline of a conversation begins that is new to this device and
 * of which `first` is at hand: with what none of the user's devices has, if
 * that is not too much. All of that is told.
 */
function startTimeline(
  core: CoreState,
  wire: Conversation,
  id: ConversationId,
  first: Message | undefined,
): void {
  const from = first?.seq ?? readNumber(wire.lastSeq) + 1;
  // Whoever wrote from here, and may have had no answer, has not seen what others
  // said before it.
  const wroteHere = core.outbox.counts(id).pending > 0;
  const seen = wroteHere ? readNumber(wire.deliveredSeq) : seenSeq(wire);
  const missing = Math.min(Math.max(readNumber(wire.firstSeq), seen + 1), from);
  const conv = core.conv(id);
  core.heldMessages -= conv.timeline.length;
  conv.timeline = new Timeline(from - missing <= GAP_MESSAGES_MAX ? missing : from);
  conv.storedFromSeq = conv.timeline.lo;
  toldUpTo(conv, Math.max(seen, readNumber(wire.firstSeq) - 1));
}

/**
 * Up to here some device of the user had the messages: what was delivered, and
 * what is not unread.
 */
function seenSeq(wire: Conversation): number {
  return Math.max(
    readNumber(wire.deliveredSeq),
    readNumber(wire.lastSeq) - readNumber(wire.unread),
  );
}
