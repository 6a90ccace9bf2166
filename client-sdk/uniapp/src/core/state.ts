/**
 * The state of a client, and the small things that all parts of the core do
 * with it. The parts are modules of functions on it; `ClientCore` is the way in
 * from outside.
 */

import { ClientError } from '../error.js';
import { Frame } from '../gen/frame.js';
import type { Account, DeviceState, Profile } from '../model/conversation.js';
import type { ClientMsgId, ConversationId, UserId } from '../model/ids.js';
import { directConversation } from '../model/ids.js';
import type { Status } from '../model/status.js';
import type { StoreChange, StoreRow } from '../store/store.js';
import type { BinaryWriter } from '../wire/wire.js';
import { Backoff } from './backoff.js';
import type { CoreConfig } from './config.js';
import type { Credentials } from './credentials.js';
import type { CoreEvent } from './event.js';
import { Link } from './link.js';
import { Outbox } from './outbox.js';
import type { Past } from './paging.js';
import type { ConversationRecord } from './record.js';
import { newRecord } from './record.js';
import type { Purpose } from './requests.js';
import { Requests } from './requests.js';
import type { StoredSettings, Tokens } from './rows.js';
import { deviceRow } from './rows.js';
import type { SyncRun, Unknown } from './sync.js';
import { Timeline } from './timeline.js';
import { Watching } from './watching.js';

/** A conversation and its timeline. */
export interface Conv {
  readonly record: ConversationRecord;
  timeline: Timeline;
  /** What is shown instead, while it is read back beyond what a timeline holds. */
  past: Past | undefined;
  /** How many have it open. */
  open: number;
  storedFromSeq: number;
  /** The highest seq heard on this connection. */
  heardSeq: number;
  /**
   * Own messages of this device that were acknowledged, but lie above what was
   * told: an ack is not a message to tell.
   */
  readonly ownAcked: Set<number>;
  /** Open groups: how far the others are. */
  members: Map<UserId, MemberCursors> | undefined;
}

/** How far a member of a group is. */
export interface MemberCursors {
  readonly deliveredSeq: number;
  readonly readSeq: number;
}

/** What the next batch will hold. */
export interface Outgoing {
  changes: StoreChange[];
  durable: boolean;
  keepsTokens: boolean;
  sends: ClientMsgId[];
}

/** A status without what `setStatus` adds. */
export type NewStatus = Status extends infer S
  ? S extends Status
    ? Omit<S, 'error' | 'lostAt' | 'since'>
    : never
  : never;

/** Everything that a client knows. */
export class CoreState {
  /** As of the call from outside that is being handled. */
  nowMs = 0;
  link = new Link(0);
  readonly backoff: Backoff;
  readonly requests = new Requests();
  outbox: Outbox;
  readonly convs = new Map<ConversationId, Conv>();
  readonly profiles = new Map<UserId, Profile>();
  readonly settings = new Map<ConversationId, StoredSettings>();
  sync: SyncRun | undefined;
  readonly unknown = new Map<ConversationId, Unknown>();
  account: Account | undefined;
  tokens: Tokens | undefined;
  devices: readonly DeviceState[] | undefined;
  auth: { readonly token: number; readonly credentials: Credentials } | undefined;
  authReply: { readonly token: number; readonly payload: Uint8Array } | undefined;
  readonly events: CoreEvent[] = [];
  readonly dirtyRecords = new Set<ConversationId>();
  readonly dirtyConversations = new Set<ConversationId>();
  readonly dirtyTimelines = new Set<ConversationId>();
  /** When each gap is to be asked for; `Infinity` while it is. */
  readonly gaps = new Map<ConversationId, number>();
  /** Whether anybody listens to `message`. */
  listening = true;
  /** When what a timeline left out is to be asked for; `Infinity` while it is. */
  readonly missed = new Map<ConversationId, number>();
  readonly deliveredDue = new Map<ConversationId, number>();
  cursorsUnconfirmed = new Map<ConversationId, number>();
  cursorsBeforeHeartbeat = new Map<ConversationId, number>();
  readonly readsDue = new Set<ConversationId>();
  readsRetryAtMs: number | undefined;
  profilesDue = new Set<UserId>();
  readonly membersDue = new Set<ConversationId>();
  watching = new Watching();
  heldMessages = 0;
  storedMessages = 0;
  serverAheadMs = 0;
  reconnectAtMs: number | undefined;
  refreshFirst = false;
  stopped = true;
  connectAfterClose = false;
  outgoing: Outgoing = { changes: [], durable: false, keepsTokens: false, sends: [] };
  storeError: ClientError | undefined;
  removalsNotDurable = 0;
  status: Status;
  /** When the connection was lost, until the client is live again. */
  lostAtMs: number | undefined;
  lastError: ClientError | undefined;

  constructor(readonly config: CoreConfig) {
    this.backoff = new Backoff(config.backoffBaseMs, config.backoffMaxMs);
    this.outbox = new Outbox(config.outboxMax);
    this.status = { kind: 'offline', since: 0, lostAt: undefined, error: undefined };
  }

  get me(): UserId | undefined {
    return this.account?.user;
  }

  /** The conversation, made when it is not known. */
  conv(id: ConversationId): Conv {
    let conv = this.convs.get(id);
    if (conv === undefined) {
      conv = newConv(newRecord(id), new Timeline(1));
      this.convs.set(id, conv);
    }
    return conv;
  }

  put(row: StoreRow): void {
    this.change({ kind: 'put', row });
  }

  change(change: StoreChange): void {
    if (this.storeError === undefined) {
      this.outgoing.changes.push(change);
    }
  }

  /** A conversation changed: what is kept and what is shown follow. */
  touch(id: ConversationId): void {
    this.dirtyRecords.add(id);
    this.dirtyConversations.add(id);
    this.dirtyTimelines.add(id);
  }

  reply(token: number, result: Uint8Array | ClientError): void {
    this.events.push({ kind: 'reply', token, result });
  }

  setStatus(status: NewStatus): void {
    const before = this.status;
    const lostAt = this.lostAtMs;
    const error = status.kind === 'live' ? undefined : this.lastError;
    const since = before.kind === status.kind ? before.since : this.nowMs;
    const next = { ...status, since, lostAt, error } as Status;
    if (!sameStatus(before, next)) {
      this.status = next;
      this.events.push({ kind: 'status', status: next });
    }
  }

  /** Appends a request to what goes out. */
  requestFrame(purpose: Purpose, opcode: number, message: BinaryWriter | Uint8Array): void {
    const deadlineMs = this.nowMs + this.config.requestTimeoutMs;
    const request = this.requests.start(purpose, deadlineMs);
    this.writeFrame(opcode, request, message);
  }

  writeFrame(opcode: number, request: string, message: BinaryWriter | Uint8Array): void {
    const payload = message instanceof Uint8Array ? message : message.finish();
    this.link.write(Frame.encode({ opcode, request, payload }).finish());
  }

  /** @throws ClientError `offline`, `tooManyRequests`. */
  checkRequest(): void {
    if (!this.link.inSession) {
      throw new ClientError('offline', 'there is no session');
    }
    if (this.requests.appLength >= this.config.requestsMax) {
      throw new ClientError('tooManyRequests', 'too many requests are waiting for a reply');
    }
  }

  /** @throws ClientError `storage` after the store failed. */
  checkStore(): void {
    if (this.storeError !== undefined) {
      throw this.storeError;
    }
  }

  /** Forgets everything of the account, here and in the store. */
  forgetAccount(): void {
    for (const { clientMsgId, conversation } of this.outbox.entries()) {
      const error = new ClientError('closed', 'the account was signed out');
      const update = { kind: 'dropped' as const, error };
      this.events.push({ kind: 'send', clientMsgId, conversation, update });
    }
    this.outbox = new Outbox(this.config.outboxMax);
    for (const id of this.convs.keys()) {
      this.dirtyConversations.add(id);
      this.dirtyTimelines.add(id);
    }
    for (const map of [
      this.convs,
      this.profiles,
      this.settings,
      this.dirtyRecords,
      this.gaps,
      this.missed,
      this.unknown,
      this.deliveredDue,
      this.cursorsUnconfirmed,
      this.cursorsBeforeHeartbeat,
      this.readsDue,
      this.profilesDue,
      this.membersDue,
    ]) {
      map.clear();
    }
    this.heldMessages = 0;
    this.storedMessages = 0;
    this.account = undefined;
    this.tokens = undefined;
    this.devices = undefined;
    this.outgoing = { changes: [], durable: true, keepsTokens: false, sends: [] };
    for (const section of SECTIONS) {
      this.change({ kind: 'clear', section });
    }
    this.put(deviceRow(this.config.device.id));
  }
}

/** The direct conversation of the signed-in user with somebody. */
export function directWith(core: CoreState, user: UserId): ConversationId | undefined {
  return core.me === undefined ? undefined : directConversation(core.me, user);
}

/** A conversation that nobody has open. */
export function newConv(record: ConversationRecord, timeline: Timeline): Conv {
  const storedFromSeq = timeline.lo;
  const more = { past: undefined, members: undefined, ownAcked: new Set<number>() };
  return { record, timeline, open: 0, storedFromSeq, heardSeq: 0, ...more };
}

function sameStatus(a: Status, b: Status): boolean {
  return (
    JSON.stringify({ ...a, error: undefined }) === JSON.stringify({ ...b, error: undefined }) &&
    a.error === b.error
  );
}

const SECTIONS = ['conversation', 'message', 'meta', 'outbox', 'profile', 'settings'] as const;
