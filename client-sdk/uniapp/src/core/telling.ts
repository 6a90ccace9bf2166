/**
 * Telling the app of messages: each once, in the order of seqs, also those that
 * the timeline left out.
 *
 * ```text
 *   seq   1 ..... toldSeq | missed ....... | lo ━━━━━━━━━━ hi . . ▪▪ .. last
 *         (told)            (asked for)      (told once what is below is)
 * ```
 *
 * A sync that leaves something out, a gap too wide, or a window too small make a
 * timeline start again above what was missed: what is shown is up to date at
 * once, while the rest is read by History from its lower end. Nobody is told of
 * anything above it before. What lies further back than `missedMax` is not read;
 * an event says so.
 *
 * Invariants: `toldSeq` only grows, but for a server that lost its end; at most
 * 4 conversations are read at a time, each by one page; a range that the server
 * does not give is told as skipped rather than asked for again; nothing is
 * marked as delivered that is still to be read.
 */
import type { HistoryPage } from '../gen/conversation.js';
import { History } from '../gen/conversation.js';
import type { ConversationId } from '../model/ids.js';
import { readMessages, readNumber, writeConversationId } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { noteDelivered } from './cursors.js';
import { settle } from './merge.js';
import type { Conv, CoreState } from './state.js';

/** Tells what is next, as far as it is held. */
export function tellMessages(core: CoreState, id: ConversationId): void {
  const conv = core.convs.get(id);
  if (conv === undefined) {
    return;
  }
  const { record, timeline } = conv;
  const { lo, hi } = timeline;
  // For nobody, nothing is read.
  const readFrom = lo - (core.listening ? core.config.missedMax : 0);
  if (core.listening) {
    skipUpTo(core, conv, readFrom - 1);
  } else {
    toldUpTo(conv, readFrom - 1);
  }
  const from = record.toldSeq + 1;
  if (from < lo) {
    if (!record.gone && !core.missed.has(id)) {
      core.missed.set(id, 0);
    }
    return;
  }
  core.missed.delete(id);
  for (const message of timeline.heldFrom(from)) {
    if (!conv.ownAcked.delete(message.seq)) {
      core.events.push({ kind: 'message', message });
    }
  }
  toldUpTo(conv, hi);
  for (const seq of conv.ownAcked) {
    if (seq <= record.toldSeq) {
      conv.ownAcked.delete(seq);
    }
  }
}

/** Whether something is to be read before what is held can be told. */
export function isBehind({ record, timeline }: Conv): boolean {
  return record.toldSeq + 1 < timeline.lo;
}

/** What lies up to `seq` is nothing that the app is to be told. */
export function toldUpTo({ record }: Conv, seq: number): void {
  record.toldSeq = Math.max(record.toldSeq, seq);
}

/** When a page is to be asked for; `undefined` while enough are. */
export function missedDeadlineMs(core: CoreState): number | undefined {
  const due = Math.min(...core.missed.values());
  return due < Infinity && asked(core) < MISSED_ASKED_MAX ? due : undefined;
}

function asked(core: CoreState): number {
  return [...core.missed.values()].filter((at) => at === Infinity).length;
}

/** Asks for what was left out. */
export function handleMissedTimeout(core: CoreState): void {
  if (core.link.phase !== 'live') {
    return;
  }
  let room = MISSED_ASKED_MAX - asked(core);
  for (const [id, at] of [...core.missed]) {
    if (at > core.nowMs || room <= 0) {
      continue;
    }
    // What is restored from a store may need no page.
    tellMessages(core, id);
    const conv = core.convs.get(id);
    if (conv === undefined || conv.record.gone || !isBehind(conv)) {
      core.missed.delete(id);
      noteDelivered(core, id);
      core.dirtyRecords.add(id);
      continue;
    }
    room--;
    // Asked for: not due again before the answer.
    core.missed.set(id, Infinity);
    const from = conv.record.toldSeq + 1;
    const to = conv.timeline.lo - 1;
    const request = History.encode({
      conversation: writeConversationId(id),
      fromSeq: String(from),
      toSeq: String(to),
      limit: MISSED_PAGE,
      backwards: false,
    });
    core.requestFrame({ kind: 'missed', conversation: id, from, to }, Opcode.History, request);
  }
}

/** What was asked for came, or a part of it. */
export function onMissedPage(
  core: CoreState,
  id: ConversationId,
  asked: { readonly from: number; readonly to: number },
  page: HistoryPage,
): void {
  core.missed.delete(id);
  const conv = core.convs.get(id);
  if (conv === undefined || conv.record.toldSeq + 1 !== asked.from) {
    // A server that lost its end meanwhile, or a state that begins later.
    return tellMessages(core, id);
  }
  const { record } = conv;
  // What is below does not exist for this user.
  toldUpTo(conv, Math.min(readNumber(page.firstSeq) - 1, asked.to));
  let ofOthers = 0;
  for (const message of readMessages(page.messages)) {
    const { seq } = message;
    if (seq <= record.toldSeq || seq > asked.to) {
      continue;
    }
    skipUpTo(core, conv, seq - 1);
    settle(core, message);
    record.toldSeq = seq;
    if (message.sender !== core.me) {
      ofOthers = seq;
    }
    if (!conv.ownAcked.delete(seq)) {
      core.events.push({ kind: 'message', message });
    }
  }
  if (!page.more || page.messages.length === 0 || record.toldSeq < asked.from) {
    skipUpTo(core, conv, asked.to);
  }
  if (ofOthers > record.deliveredSeq) {
    record.deliveredSeq = ofOthers;
    core.deliveredDue.set(id, ofOthers);
  }
  goOn(core, id);
}

/** The range was not given; `undefined`: it never will be. */
export function onMissedFailed(
  core: CoreState,
  id: ConversationId,
  to: number,
  retryAfterMs: number | undefined,
): void {
  core.missed.delete(id);
  const conv = core.convs.get(id);
  if (conv === undefined) {
    return;
  }
  if (retryAfterMs === undefined) {
    skipUpTo(core, conv, to);
    goOn(core, id);
  } else {
    core.missed.set(id, core.nowMs + Math.max(retryAfterMs, MISSED_RETRY_MS));
  }
}

function goOn(core: CoreState, id: ConversationId): void {
  tellMessages(core, id);
  noteDelivered(core, id);
  core.touch(id);
}

/** What is left up to `seq` is not read, or the server does not give it. */
function skipUpTo(core: CoreState, { record }: Conv, toSeq: number): void {
  const fromSeq = record.toldSeq + 1;
  if (fromSeq <= toSeq) {
    record.toldSeq = toSeq;
    const skipped = { conversation: record.id, fromSeq, toSeq };
    core.events.push({ kind: 'messagesSkipped', skipped });
  }
}

/** Messages asked for at a time. */
const MISSED_PAGE = 200;
/** Conversations read at a time. */
const MISSED_ASKED_MAX = 4;
const MISSED_RETRY_MS = 2_000;
