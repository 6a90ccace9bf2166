/**
 * What is missing in a timeline: gaps are filled by History.
 *
 * Invariants: at most 16 gaps are asked for at a time, none before its grace is
 * over; a gap that the server cannot fill is given up rather than asked for
 * again.
 */
import type { HistoryPage } from '../gen/conversation.js';
import { History } from '../gen/conversation.js';
import type { ConversationId } from '../model/ids.js';
import { readMessages, readNumber, writeConversationId } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { noteDelivered } from './cursors.js';
import { followEvents } from './groups.js';
import { takeMessage } from './merge.js';
import type { CoreState } from './state.js';
import { toldUpTo } from './telling.js';
import { rebase } from './windows.js';

/** A gap wider than this is left to paging. */
export const GAP_MESSAGES_MAX = 500;

/** When a gap is to be asked for; `undefined` while enough are. */
export function gapDeadlineMs(core: CoreState): number | undefined {
  let next = Infinity;
  core.gaps.forEach((at) => {
    next = Math.min(next, at);
  });
  return next < Infinity && askedGaps(core) < GAPS_ASKED_MAX ? next : undefined;
}

function askedGaps(core: CoreState): number {
  return [...core.gaps.values()].filter((at) => at === Infinity).length;
}

/** Asks for what is missing, where the grace is over. */
export function handleGapTimeout(core: CoreState): void {
  if (core.link.phase !== 'live') {
    return;
  }
  let room = GAPS_ASKED_MAX - askedGaps(core);
  for (const [id, at] of [...core.gaps]) {
    if (at > core.nowMs || room <= 0) {
      continue;
    }
    const gap = core.convs.get(id)?.timeline.gap();
    if (gap === undefined) {
      core.gaps.delete(id);
      continue;
    }
    room--;
    // Asked for: not due again before the answer.
    core.gaps.set(id, Infinity);
    const newestOnly = gap.to - gap.from >= GAP_MESSAGES_MAX;
    const request = History.encode({
      conversation: writeConversationId(id),
      fromSeq: String(gap.from),
      toSeq: String(gap.to),
      limit: GAP_PAGE,
      backwards: newestOnly,
    });
    const purpose = { kind: 'gap', conversation: id, from: gap.from, newestOnly } as const;
    core.requestFrame(purpose, Opcode.History, request);
  }
}

/** What was missing came, or a part of it. */
export function onGapPage(
  core: CoreState,
  id: ConversationId,
  asked: { readonly from: number; readonly newestOnly: boolean },
  page: HistoryPage,
): void {
  const conv = core.convs.get(id);
  if (conv === undefined) {
    return;
  }
  // What is below does not exist for this user.
  toldUpTo(conv, readNumber(page.firstSeq) - 1);
  const messages = readMessages(page.messages);
  const [first] = messages;
  if (asked.newestOnly && first !== undefined) {
    rebase(core, id, first.seq);
  }
  for (const message of messages) {
    takeMessage(core, message);
  }
  const after = conv.timeline.gap();
  if (after?.from === asked.from) {
    // The server does not have it, or does not show it: it will never come. Any
    // other gap is one that it was not asked about.
    rebase(core, id, after.to + 1);
  }
  core.gaps.delete(id);
  followEvents(core, id);
  noteGap(core, id);
  if (core.gaps.has(id)) {
    core.gaps.set(id, core.nowMs);
  }
  noteDelivered(core, id);
  core.touch(id);
}

/** The missing range was not given; `undefined`: it never will be. */
export function onGapFailed(
  core: CoreState,
  id: ConversationId,
  retryAfterMs: number | undefined,
): void {
  if (retryAfterMs === undefined) {
    // Until the next push or sync says otherwise.
    core.gaps.delete(id);
  } else {
    core.gaps.set(id, core.nowMs + Math.max(retryAfterMs, GAP_RETRY_MS));
  }
}

/** Notes whether something is missing, and when it is to be asked for. */
export function noteGap(core: CoreState, id: ConversationId): void {
  const conv = core.convs.get(id);
  if (conv === undefined || conv.record.gone || conv.timeline.gap() === undefined) {
    core.gaps.delete(id);
  } else if (!core.gaps.has(id)) {
    core.gaps.set(id, core.nowMs + core.config.gapGraceMs);
  }
}

const GAP_PAGE = 100;
const GAPS_ASKED_MAX = 16;
const GAP_RETRY_MS = 2_000;
