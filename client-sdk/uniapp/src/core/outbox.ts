/**
 * Messages on their way to the server, each until its result is definite.
 *
 * ```text
 *            stored          sent              ack, or found by a sync
 *  storing ─────────▶ ready ──────▶ inFlight ─────────────────────────▶ gone
 *                       ▲              │ connection lost, time up,
 *                       │              │ or refused for now
 *                       └──────────────┤
 *                       ▲ retry        │ refused for good
 *                       └─── failed ◀──┘
 * ```
 *
 * Invariants: a message leaves in the order it was written, per conversation;
 * at most 64 of a conversation are in flight, so that the server still
 * remembers the ids of all that may be sent again; a message that goes out
 * again has the same id; nothing is dropped without a definite result.
 *
 * When the server refuses one message of a window for now, those behind it may
 * be stored before it. That happens to a message once: afterwards, and after a
 * restart, the oldest goes out alone until its result is definite. Were a
 * window to pass it each time, the server would forget its id.
 */
import { ClientError } from '../error.js';
import { OUTBOX_WINDOW } from '../limits.js';
import type { ClientMsgId, ConversationId } from '../model/ids.js';
import type { AckLevel, PendingMessage } from '../model/message.js';
import { readBody } from '../model/wire.js';
import { exponential } from './backoff.js';

/** What is kept of a message until its result is definite. */
export interface OutboxEntry {
  /** Place in the outbox: lower goes first. */
  order: number;
  readonly clientMsgId: ClientMsgId;
  readonly conversation: ConversationId;
  /** The encoded body: the same bytes in every attempt. */
  readonly body: Uint8Array;
  readonly level: AckLevel;
  readonly createdMs: number;
  /** The code with which the server refused it for good. */
  failedCode: number | undefined;
}

interface Slot {
  readonly entry: OutboxEntry;
  phase: 'failed' | 'inFlight' | 'ready' | 'storing';
  pending: PendingMessage | undefined;
}

/** The messages of one conversation that still go out. */
interface Lane {
  /** Ascending by order. */
  readonly slots: Slot[];
  inFlight: number;
  blockedUntilMs: number;
  refusals: number;
  /** The oldest may have been passed by others: it goes out alone. */
  oldestAlone: boolean;
}

/** The queue of all conversations. */
export class Outbox {
  private readonly slots = new Map<ClientMsgId, Slot>();
  private readonly lanes = new Map<ConversationId, Lane>();
  private readonly byConversation = new Map<ConversationId, Slot[]>();
  private nextOrder = 1;
  private inFlightCount = 0;

  /** At most `entriesMax` messages; `entries` as after a restart. */
  constructor(
    private readonly entriesMax: number,
    entries: readonly OutboxEntry[] = [],
  ) {
    for (const entry of [...entries].sort((a, b) => a.order - b.order)) {
      this.nextOrder = Math.max(this.nextOrder, entry.order + 1);
      this.insert(entry, entry.failedCode === undefined ? 'ready' : 'failed');
    }
    // Nobody knows any more what was sent of them, and what passed it.
    this.lanes.forEach((lane) => {
      lane.oldestAlone = true;
    });
  }

  /**
   * Takes a message in. It goes out once `stored` says that it is kept.
   * @throws ClientError `outboxFull`; `invalid` when its id is here already.
   */
  push(message: Omit<OutboxEntry, 'failedCode' | 'order'>): OutboxEntry {
    if (this.slots.size >= this.entriesMax) {
      throw new ClientError('outboxFull', `the outbox is full with ${this.entriesMax} messages`);
    }
    if (this.slots.has(message.clientMsgId)) {
      throw new ClientError('invalid', 'the client message id was used before');
    }
    const entry = { ...message, order: this.nextOrder++, failedCode: undefined };
    this.insert(entry, 'storing');
    return entry;
  }

  private insert(entry: OutboxEntry, phase: Slot['phase']): void {
    const slot: Slot = { entry, phase, pending: undefined };
    this.slots.set(entry.clientMsgId, slot);
    const { conversation } = entry;
    const all = this.byConversation.get(conversation);
    if (all === undefined) {
      this.byConversation.set(conversation, [slot]);
    } else {
      all.push(slot);
    }
    if (phase !== 'failed') {
      this.lane(conversation).slots.push(slot);
    }
  }

  private lane(conversation: ConversationId): Lane {
    let lane = this.lanes.get(conversation);
    if (lane === undefined) {
      lane = { slots: [], inFlight: 0, blockedUntilMs: 0, refusals: 0, oldestAlone: false };
      this.lanes.set(conversation, lane);
    }
    return lane;
  }

  /** The message is kept on this device and may go out. */
  stored(id: ClientMsgId): OutboxEntry | undefined {
    const slot = this.slots.get(id);
    if (slot?.phase === 'storing') {
      slot.phase = 'ready';
    }
    return slot?.entry;
  }

  /**
   * Marks the next messages that may go out as in flight and returns them, at
   * most `entriesMax` and no more than about `bytesMax` of bodies.
   */
  takeSendable(nowMs: number, entriesMax: number, bytesMax: number): OutboxEntry[] {
    const taken: OutboxEntry[] = [];
    let bytes = 0;
    for (const lane of this.lanes.values()) {
      if (lane.blockedUntilMs > nowMs || lane.inFlight === lane.slots.length) {
        continue;
      }
      const window = lane.oldestAlone ? 1 : OUTBOX_WINDOW;
      for (const slot of lane.slots) {
        if (taken.length >= entriesMax || bytes >= bytesMax) {
          return taken;
        }
        if (slot.phase === 'inFlight') {
          continue;
        }
        if (lane.inFlight >= window || slot.phase !== 'ready') {
          break;
        }
        slot.phase = 'inFlight';
        lane.inFlight++;
        this.inFlightCount++;
        bytes += slot.entry.body.length;
        taken.push(slot.entry);
      }
    }
    return taken;
  }

  /** The server has the message: takes it out. */
  settle(id: ClientMsgId): OutboxEntry | undefined {
    const slot = this.slots.get(id);
    if (slot === undefined) {
      return undefined;
    }
    this.leaveLane(slot);
    this.remove(slot);
    return slot.entry;
  }

  private remove(slot: Slot): void {
    const { clientMsgId, conversation } = slot.entry;
    this.slots.delete(clientMsgId);
    const all = this.byConversation.get(conversation) ?? [];
    all.splice(all.indexOf(slot), 1);
    if (all.length === 0) {
      this.byConversation.delete(conversation);
    }
  }

  /** The server refused the message for good. It stays, as failed. */
  fail(id: ClientMsgId, code: number): OutboxEntry | undefined {
    const slot = this.slots.get(id);
    if (slot === undefined) {
      return undefined;
    }
    this.leaveLane(slot);
    slot.phase = 'failed';
    slot.pending = undefined;
    slot.entry.failedCode = code;
    return slot.entry;
  }

  /**
   * The server refused the message for now, or did not answer in time: it goes
   * out again after `retryAfterMs`, or a delay that doubles with each refusal
   * in a row when that is longer; nothing of the conversation goes out before.
   */
  postpone(id: ClientMsgId, nowMs: number, retryAfterMs: number): void {
    const slot = this.slots.get(id);
    const lane = slot && this.lanes.get(slot.entry.conversation);
    if (slot?.phase !== 'inFlight' || lane === undefined) {
      return;
    }
    slot.phase = 'ready';
    this.inFlightCount--;
    lane.inFlight--;
    lane.oldestAlone = true;
    // All of a window can be refused at once; that is one refusal.
    if (lane.blockedUntilMs <= nowMs) {
      const backoff = exponential(RETRY_BASE_MS, lane.refusals, RETRY_MAX_MS);
      // The id is random, so clients do not retry in step.
      const spread = Math.floor((Number.parseInt(id.slice(-2), 16) * backoff) / 1024);
      lane.blockedUntilMs = nowMs + Math.max(retryAfterMs, backoff) + spread;
      lane.refusals++;
    } else {
      lane.blockedUntilMs = Math.max(lane.blockedUntilMs, nowMs + retryAfterMs);
    }
  }

  /** The connection is gone: what was in flight goes out again on the next. */
  connectionLost(): void {
    this.lanes.forEach((lane) => {
      for (const slot of lane.slots) {
        if (slot.phase === 'inFlight') {
          slot.phase = 'ready';
        }
      }
      lane.inFlight = 0;
    });
    this.inFlightCount = 0;
  }

  /** Sends a failed message again, with the same id, behind all others. */
  retry(id: ClientMsgId): OutboxEntry | undefined {
    const slot = this.slots.get(id);
    if (slot?.phase !== 'failed') {
      return undefined;
    }
    this.remove(slot);
    const entry = { ...slot.entry, failedCode: undefined, order: this.nextOrder++ };
    this.insert(entry, 'storing');
    return entry;
  }

  /** Takes a message out that is not on its way: failed, or not kept. */
  discard(id: ClientMsgId): OutboxEntry | undefined {
    const phase = this.slots.get(id)?.phase;
    return phase === 'failed' || phase === 'storing' ? this.settle(id) : undefined;
  }

  private leaveLane(slot: Slot): void {
    const lane = this.lanes.get(slot.entry.conversation);
    if (lane === undefined) {
      return;
    }
    const at = lane.slots.indexOf(slot);
    if (at === 0) {
      lane.oldestAlone = false;
    }
    if (at >= 0) {
      lane.slots.splice(at, 1);
      if (slot.phase === 'inFlight') {
        lane.inFlight--;
        this.inFlightCount--;
      }
    }
    lane.refusals = 0;
    if (lane.slots.length === 0) {
      this.lanes.delete(slot.entry.conversation);
    }
  }

  entry(id: ClientMsgId): OutboxEntry | undefined {
    return this.slots.get(id)?.entry;
  }

  /** When a conversation that has to wait may go on. */
  nextDeadlineMs(nowMs: number): number | undefined {
    let next: number | undefined;
    this.lanes.forEach((lane) => {
      const at = lane.blockedUntilMs;
      if (lane.inFlight < lane.slots.length && at > nowMs && (next === undefined || at < next)) {
        next = at;
      }
    });
    return next;
  }

  /** Messages of a conversation that are kept, in the order they were written. */
  pending(conversation: ConversationId): PendingMessage[] {
    const kept = (this.byConversation.get(conversation) ?? []).filter(
      (slot) => slot.phase !== 'storing',
    );
    return kept.map((slot) => {
      slot.pending ??= pendingOf(slot.entry);
      return slot.pending;
    });
  }

  /** Messages of a conversation here: all of them, and those that failed. */
  counts(conversation: ConversationId): { pending: number; failed: number } {
    const all = this.byConversation.get(conversation) ?? [];
    return { pending: all.length, failed: all.filter((slot) => slot.phase === 'failed').length };
  }

  /** Messages here, failed ones included. */
  get length(): number {
    return this.slots.size;
  }

  /** Messages sent and not answered. */
  get inFlight(): number {
    return this.inFlightCount;
  }

  /** All that is here. */
  entries(): OutboxEntry[] {
    return [...this.slots.values()].map((slot) => slot.entry);
  }
}

function pendingOf(entry: OutboxEntry): PendingMessage {
  const { clientMsgId, conversation, createdMs, failedCode } = entry;
  return {
    clientMsgId,
    conversation,
    body: readBody(entry.body).body,
    createdMs,
    state:
      failedCode === undefined
        ? { kind: 'sending' }
        : {
            kind: 'failed',
            error: new ClientError('refused', 'the server refused it', failedCode),
          },
  };
}

const RETRY_BASE_MS = 500;
const RETRY_MAX_MS = 30_000;
