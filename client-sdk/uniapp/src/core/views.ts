/** What there is to see: snapshots for lists and timelines. */
import type { ConversationState } from '../model/conversation.js';
import type { ConversationId } from '../model/ids.js';
import { peerOf } from '../model/ids.js';
import type {
  Message,
  PendingMessage,
  SendState,
  TimelineItem,
  TimelineView,
} from '../model/message.js';
import { sendStateOf } from './receipts.js';
import { unreadOf } from './record.js';
import { NO_SETTINGS } from './rows.js';
import type { Conv, CoreState } from './state.js';

/** A conversation as lists show it; `undefined` when there is nothing to show. */
export function conversationState(
  core: CoreState,
  id: ConversationId,
): ConversationState | undefined {
  const conv = core.convs.get(id);
  if (conv === undefined || core.me === undefined) {
    return undefined;
  }
  const { record, timeline } = conv;
  const { pending, failed } = core.outbox.counts(id);
  const stored = core.settings.get(id) ?? NO_SETTINGS;
  if (record.lastSeq === 0 && pending === 0 && record.group === undefined && stored.draft === '') {
    return undefined;
  }
  const peerId = peerOf(id, core.me);
  const peer = peerId === undefined ? undefined : core.profiles.get(peerId);
  const { pinned, muted, draft, hiddenSeq } = stored;
  return {
    id,
    title: record.group?.name ?? (peer?.displayName || peer?.name) ?? '',
    lastSeq: record.lastSeq,
    deliveredSeq: record.deliveredSeq,
    readSeq: record.readSeq,
    unread: unreadOf(record),
    firstSeq: record.firstSeq,
    lastMessage: timeline.newest(),
    peerId,
    peer,
    peerDeliveredSeq: record.peerDeliveredSeq,
    peerReadSeq: record.peerReadSeq,
    group: record.group,
    gone: record.gone,
    activityMs: record.activityMs,
    pending,
    failed,
    settings: {
      pinned,
      muted,
      draft,
      hidden: hiddenSeq > 0 && record.lastSeq <= hiddenSeq && pending === 0,
    },
  };
}

/** Pinned ones first, then by latest activity. */
export function compareConversations(a: ConversationState, b: ConversationState): number {
  return (
    Number(b.settings.pinned) - Number(a.settings.pinned) ||
    b.activityMs - a.activityMs ||
    (a.id < b.id ? -1 : 1)
  );
}

/** Makes the views of one timeline; items that did not change stay the same. */
export class TimelineViewer {
  private items = new Map<string, TimelineItem>();

  constructor(private readonly conversation: ConversationId) {}

  /** The view now. */
  view(core: CoreState): TimelineView {
    const conv = core.convs.get(this.conversation);
    const before = this.items;
    this.items = new Map();
    const list: TimelineItem[] = [];
    for (const message of conv?.timeline.held ?? []) {
      list.push(this.keep(before, storedItem(core, conv as Conv, message)));
    }
    for (const pending of core.outbox.pending(this.conversation)) {
      list.push(this.keep(before, pendingItem(core, pending)));
    }
    const { record, timeline } = conv ?? {};
    return {
      conversation: this.conversation,
      items: list,
      hasOlder: timeline?.hasOlder(record?.firstSeq ?? 1) ?? false,
      catchingUp: timeline?.gap() !== undefined && record?.gone === false,
      lastSeq: record?.lastSeq ?? 0,
      readSeq: record?.readSeq ?? 0,
      peerDeliveredSeq: record?.peerDeliveredSeq ?? 0,
      peerReadSeq: record?.peerReadSeq ?? 0,
    };
  }

  private keep(before: ReadonlyMap<string, TimelineItem>, item: TimelineItem): TimelineItem {
    const known = before.get(item.key);
    const kept = known !== undefined && sameItem(known, item) ? known : item;
    this.items.set(item.key, kept);
    return kept;
  }
}

function storedItem(core: CoreState, conv: Conv, message: Message): TimelineItem {
  const { seq, sender, timeMs, clientMsgId, body } = message;
  const own = sender !== undefined && sender === core.me;
  return {
    key: own && clientMsgId !== undefined ? clientMsgId : String(seq),
    seq,
    sender,
    own,
    timeMs,
    clientMsgId,
    body,
    message,
    state: own ? sendStateOf(conv, sender, seq) : undefined,
  };
}

function pendingItem(core: CoreState, pending: PendingMessage): TimelineItem {
  const { clientMsgId, createdMs, body, state } = pending;
  return {
    key: clientMsgId,
    seq: undefined,
    sender: core.me,
    own: true,
    timeMs: createdMs,
    clientMsgId,
    body,
    message: undefined,
    state,
  };
}

function sameItem(a: TimelineItem, b: TimelineItem): boolean {
  return a.message === b.message && a.body === b.body && sameState(a.state, b.state);
}

function sameState(a: SendState | undefined, b: SendState | undefined): boolean {
  if (
    a?.kind !== b?.kind ||
    (a !== undefined && b !== undefined && 'by' in a && 'by' in b && a.by !== b.by)
  ) {
    return false;
  }
  return a?.kind !== 'failed' || a === b;
}
