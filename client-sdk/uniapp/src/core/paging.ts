/**
 * Reading back. Older messages join the timeline while it has room; when it has
 * none, what is read becomes a window that moves over the conversation, and the
 * timeline goes on at the newest end as if nobody had it open.
 *
 * ```text
 *            older ◀─┐        ┌─▶ newer
 *   firstSeq ....... lo ━━━━━ hi ........ lo ━━━━━ hi    last
 *                    (past: shown)        (timeline: kept, not shown)
 * ```
 *
 * Invariants: a past has no gap and at most `timelineWindowOpen` messages; only
 * an open conversation has one; what comes in goes to the timeline. A page that
 * was asked for at an end that moved meanwhile changes nothing. A past ends when
 * it reaches the timeline, or when the newest are wanted.
 */
import { ClientError } from '../error.js';
import type { HistoryPage } from '../gen/conversation.js';
import { History } from '../gen/conversation.js';
import { HISTORY_LIMIT_MAX } from '../limits.js';
import type { ConversationId } from '../model/ids.js';
import type { Message } from '../model/message.js';
import { readMessages, readNumber, writeConversationId } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import type { Conv, CoreState } from './state.js';
import { trim } from './windows.js';

/** A stretch of messages below the timeline, while it is read. */
export interface Past {
  /** Ascending, without a gap; never empty. */
  readonly messages: readonly Message[];
  /** Nothing below it exists that the user may see. */
  readonly atStart: boolean;
}

/** Which end of what is shown a page was asked for, and where that was. */
export interface PageEnd {
  readonly older: boolean;
  readonly seq: number;
}

/** Whether older messages can be paged into what is shown. */
export function hasOlder(conv: Conv): boolean {
  const { past, timeline, record } = conv;
  return past === undefined
    ? timeline.hasOlder(record.firstSeq)
    : !past.atStart && loOf(past) > Math.max(record.firstSeq, 1);
}

/**
 * Pages older messages into what is shown. A `reply` with an encoded
 * HistoryPage follows; it is empty when there are none.
 * @throws ClientError `windowFull`, `invalid`, and as a request.
 */
export function loadOlder(core: CoreState, token: number, id: ConversationId, limit: number): void {
  const conv = known(core, id);
  const { timeline, record, past } = conv;
  if (!hasOlder(conv)) {
    return core.reply(token, new Uint8Array(0));
  }
  core.checkRequest();
  if (conv.open === 0 && timeline.length >= core.config.timelineWindow) {
    throw new ClientError('windowFull', 'the conversation is not open and has what it may keep');
  }
  const lo = past === undefined ? timeline.lo : loOf(past);
  ask(core, token, id, { older: true, seq: lo }, record.firstSeq, lo - 1, limit);
}

/**
 * Pages newer messages into what is shown, when it was read back so far that
 * the newest are not; as `loadOlder`.
 */
export function loadNewer(core: CoreState, token: number, id: ConversationId, limit: number): void {
  const { past } = known(core, id);
  if (past === undefined) {
    return core.reply(token, new Uint8Array(0));
  }
  core.checkRequest();
  const hi = hiOf(past);
  ask(core, token, id, { older: false, seq: hi }, hi + 1, 0, limit);
}

/** Shows the newest messages again. */
export function toNewest(core: CoreState, id: ConversationId): void {
  const conv = core.convs.get(id);
  if (conv?.past !== undefined) {
    conv.past = undefined;
    core.dirtyTimelines.add(id);
  }
}

/** A page came. */
export function onPage(core: CoreState, id: ConversationId, end: PageEnd, page: HistoryPage): void {
  const conv = core.convs.get(id);
  if (conv === undefined) {
    return;
  }
  const messages = readMessages(page.messages);
  if (end.older) {
    onOlder(core, conv, end.seq, messages, page);
  } else {
    onNewer(core, conv, end.seq, messages);
  }
  core.dirtyTimelines.add(id);
}

function onOlder(
  core: CoreState,
  conv: Conv,
  below: number,
  messages: readonly Message[],
  page: HistoryPage,
): void {
  const { timeline } = conv;
  if (below !== (conv.past === undefined ? timeline.lo : loOf(conv.past))) {
    return;
  }
  const windowMax = core.config.timelineWindowOpen;
  if (conv.past === undefined && conv.open > 0 && timeline.length + messages.length > windowMax) {
    leaveNewest(core, conv);
  }
  const isLast = (lo: number) => !page.more && lo <= Math.max(readNumber(page.firstSeq), 1);
  if (conv.past === undefined) {
    const joined = timeline.prepend(messages);
    core.heldMessages += joined;
    if (joined === 0 || isLast(timeline.lo)) {
      timeline.reachedStart();
    }
    return;
  }
  const joining = joiningBelow(messages, below);
  const all = joining.concat(conv.past.messages);
  const lo = below - joining.length;
  conv.past = { messages: all.slice(0, windowMax), atStart: joining.length === 0 || isLast(lo) };
}

function onNewer(core: CoreState, conv: Conv, above: number, messages: readonly Message[]): void {
  const { past } = conv;
  if (past === undefined || hiOf(past) !== above) {
    return;
  }
  const joining = messages.filter(({ seq }, at) => seq === above + 1 + at);
  const all = past.messages.concat(joining);
  const shown = all.slice(-core.config.timelineWindowOpen);
  conv.past = { messages: shown, atStart: past.atStart && shown.length === all.length };
  if (joining.length === 0 || hiOf(conv.past) >= conv.timeline.lo - 1) {
    joinTimeline(core, conv, conv.past);
  }
}

/** The timeline has no room for more: what it holds is the past's from now on. */
function leaveNewest(core: CoreState, conv: Conv): void {
  conv.past = { messages: conv.timeline.held, atStart: false };
  trim(core, conv.record.id);
}

/** The past reached the timeline; or it cannot, and the newest are shown. */
function joinTimeline(core: CoreState, conv: Conv, past: Past): void {
  const joined = conv.timeline.prepend(past.messages);
  core.heldMessages += joined;
  if (joined > 0 && past.atStart) {
    conv.timeline.reachedStart();
  }
  conv.past = undefined;
  trim(core, conv.record.id);
}

function ask(
  core: CoreState,
  token: number,
  conversation: ConversationId,
  end: PageEnd,
  fromSeq: number,
  toSeq: number,
  limit: number,
): void {
  const request = History.encode({
    conversation: writeConversationId(conversation),
    fromSeq: String(fromSeq),
    toSeq: String(toSeq),
    limit: Math.min(Math.max(limit, 0), HISTORY_LIMIT_MAX),
    backwards: end.older,
  });
  core.requestFrame({ kind: 'page', conversation, token, end }, Opcode.History, request);
}

function known(core: CoreState, id: ConversationId): Conv {
  const conv = core.convs.get(id);
  if (conv === undefined) {
    throw new ClientError('invalid', 'no such conversation');
  }
  return conv;
}

/** Those of an ascending page that follow each other up to `below`. */
function joiningBelow(page: readonly Message[], below: number): readonly Message[] {
  let from = page.length;
  while (from > 0 && page[from - 1]?.seq === below - 1 - (page.length - from)) {
    from--;
  }
  return page.slice(from);
}

function loOf(past: Past): number {
  return past.messages[0]?.seq ?? 1;
}

/** The highest seq that a past has. */
export function hiOf(past: Past): number {
  return past.messages[past.messages.length - 1]?.seq ?? 0;
}
