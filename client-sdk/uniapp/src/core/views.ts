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
import { hasOlder } from './paging.js';
import { sendStates } from './receipts.js';
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
    if (conv !== undefined) {
      this.addStored(list, before, core, conv);
    }
    const hasNewer = conv?.past !== undefined;
    for (const pending of hasNewer ? [] : core.outbox.pending(this.conversation)) {
      const known = before.get(pending.clientMsgId);
      const same = known?.body === pending.body && sameState(known.state, pending.state);
      this.add(list, known !== undefined && same ? known : pendingItem(core, pending));
    }
    const { record, timeline } = conv ?? {};
    return {
      conversation: this.conversation,
      items: list,
      hasOlder: conv !== undefined && hasOlder(conv),
      hasNewer,
      catchingUp: timeline?.gap() !== undefined && record?.gone === false,
      lastSeq: record?.lastSeq ?? 0,
      readSeq: record?.readSeq ?? 0,
      peerDeliveredSeq: record?.peerDeliveredSeq ?? 0,
      peerReadSeq: record?.peerReadSeq ?? 0,
    };
  }

  private addStored(
    list: TimelineItem[],
    before: ReadonlyMap<string, TimelineItem>,
    core: CoreState,
    conv: Conv,
  ): void {
    const stateOf = core.me === undefined ? undefined : sendStates(conv, core.me);
    for (const message of conv.past?.messages ?? conv.timeline.held) {
      const { seq, sender, clientMsgId } = message;
      const own = sender !== undefined && sender === core.me;
      const key = own && clientMsgId !== undefined ? clientMsgId : String(seq);
      const state = own ? stateOf?.(seq) : undefined;
      const known = before.get(key);
      const same = known?.message === message && sameState(known.state, state);
      this.add(list, known !== undefined && same ? known : storedItem(key, message, own, state));
    }
  }

  private add(list: TimelineItem[], item: TimelineItem): void {
    this.items.set(item.key, item);
    list.push(item);
  }
}

function storedItem(
  key: string,
  message: Message,
  own: boolean,
  state: SendState | undefined,
): TimelineItem {
  const { seq, sender, timeMs, clientMsgId, body } = message;
  return { key, seq, sender, own, timeMs, clientMsgId, body, message, state };
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

function sameState(a: SendState | undefined, b: SendState | undefined): boolean {
  if (
    a?.kind !== b?.kind ||
    (a !== undefined && b !== undefined && 'by' in a && 'by' in b && a.by !== b.by)
  ) {
    return false;
  }
  return a?.kind !== 'failed' || a === b;
}
