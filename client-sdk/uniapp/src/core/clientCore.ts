/**
 * {@link ClientCore}: a client without input and output. It reads no clock,
 * opens no socket, touches no store and draws no random number.
 *
 * Whoever drives it calls, after every `handle*` and every command, until each
 * has nothing more:
 *
 * 1. `pollStore`: apply the batch, then `handleStored` (one batch at a time);
 * 2. `pollConnect`: open a connection;
 * 3. `pollTransmit`: write the frames;
 * 4. `pollClose`: drop the connection, then `handleClosed`;
 * 5. `pollEvent`: tell the app;
 * 6. `pollTimeout`: when to call `handleTimeout`.
 *
 * Times are milliseconds since 1970 of one clock that does not go back while
 * the client runs.
 */
import { ClientError } from '../error.js';
import type { ConversationSettings, ConversationState } from '../model/conversation.js';
import type { ClientMsgId, ConversationId, UserId } from '../model/ids.js';
import type { StoreChange } from '../store/store.js';
import type { TransportEnd } from '../transport/transport.js';
import { onTokensKept } from './account.js';
import { handleClosed, handleConnectFailed } from './closing.js';
import type { CoreConfig } from './config.js';
import type { Credentials } from './credentials.js';
import { flushCursors, handleReadsTimeout, markRead } from './cursors.js';
import type { CoreEvent } from './event.js';
import { handleFrame, onRefused } from './frames.js';
import { gapDeadlineMs, handleGapTimeout } from './gaps.js';
import { loadNewer, loadOlder, toNewest } from './paging.js';
import { askProfiles } from './people.js';
import { flushWatch, handleWatchTimeout, watchPresence } from './presence.js';
import { flushMembers, wantMembers } from './receipts.js';
import { lessonOf } from './replies.js';
import { restore } from './restore.js';
import type { StoredState } from './rows.js';
import { recordRow } from './rows.js';
import type { NewMessage } from './sends.js';
import { discard, fillSends, noteSettled, onEntryKept, retry, send } from './sends.js';
import {
  authenticate,
  handleConnected,
  handleLinkTimeout,
  logout,
  probe,
  reconnectNow,
  start,
  stop,
} from './session.js';
import { setSettings } from './settings.js';
import { CoreState } from './state.js';
import { handleSyncTimeout, handleUnknownTimeout, unknownDeadlineMs } from './sync.js';
import { handleMissedTimeout, missedDeadlineMs } from './telling.js';
import { conversationState } from './views.js';
import { trim } from './windows.js';

/** Changes that are applied together. */
export interface StoreBatch {
  /** To be handed back with the result. */
  readonly ticket: number;
  readonly changes: readonly StoreChange[];
  readonly durable: boolean;
}

/** A client without input and output. */
export class ClientCore {
  /** What there is to see; to be read only. */
  readonly state: CoreState;
  private storing: { ticket: number; sends: ClientMsgId[]; keepsTokens: boolean } | undefined;
  private lastTicket = 0;
  /** Events at the front of the queue that the driver has. */
  private eventsTaken = 0;

  constructor(config: CoreConfig, stored: StoredState, nowMs: number) {
    this.state = new CoreState(config);
    this.state.nowMs = nowMs;
    restore(this.state, stored);
  }

  // Commands. What they throw is a ClientError, and nothing was done then.

  start(nowMs: number): void {
    start(this.at(nowMs));
  }

  stop(nowMs: number): void {
    stop(this.at(nowMs));
  }

  authenticate(nowMs: number, token: number, credentials: Credentials): void {
    authenticate(this.at(nowMs), token, credentials);
  }

  logout(nowMs: number, token: number): void {
    logout(this.at(nowMs), token);
  }

  reconnectNow(nowMs: number): void {
    reconnectNow(this.at(nowMs));
  }

  probe(nowMs: number, withinMs: number): void {
    probe(this.at(nowMs), withinMs);
  }

  send(nowMs: number, message: NewMessage): void {
    send(this.at(nowMs), message);
  }

  retry(nowMs: number, id: ClientMsgId): ConversationId {
    return retry(this.at(nowMs), id).conversation;
  }

  discard(nowMs: number, id: ClientMsgId): void {
    discard(this.at(nowMs), id);
  }

  markRead(nowMs: number, id: ConversationId, seq: number): void {
    markRead(this.at(nowMs), id, seq);
  }

  setSettings(nowMs: number, id: ConversationId, settings: Partial<ConversationSettings>): void {
    setSettings(this.at(nowMs), id, settings);
  }

  watchPresence(nowMs: number, token: number, users: readonly UserId[]): void {
    watchPresence(this.at(nowMs), token, users);
  }

  loadOlder(nowMs: number, token: number, id: ConversationId, limit: number): void {
    loadOlder(this.at(nowMs), token, id, limit);
  }

  loadNewer(nowMs: number, token: number, id: ConversationId, limit: number): void {
    loadNewer(this.at(nowMs), token, id, limit);
  }

  toNewest(nowMs: number, id: ConversationId): void {
    toNewest(this.at(nowMs), id);
  }

  /** Sends a request; a `reply` follows, after what it changed. */
  request(nowMs: number, token: number, opcode: number, payload: Uint8Array): void {
    const core = this.at(nowMs);
    core.checkRequest();
    core.requestFrame({ kind: 'app', token, lesson: lessonOf(opcode, payload) }, opcode, payload);
  }

  /** Keeps more of this conversation in memory while it is open. */
  openTimeline(nowMs: number, id: ConversationId): void {
    const core = this.at(nowMs);
    if (core.account !== undefined) {
      core.conv(id).open++;
      wantMembers(core, id);
    }
  }

  /** Gives back the memory that an open conversation may use. */
  closeTimeline(nowMs: number, id: ConversationId): void {
    const conv = this.at(nowMs).convs.get(id);
    if (conv !== undefined && conv.open > 0) {
      conv.open--;
      if (conv.open === 0) {
        conv.members = undefined;
        conv.past = undefined;
        trim(this.state, id);
      }
    }
  }

  /**
   * Says whether anybody listens to `message`. While nobody does, what the
   * timelines leave out is passed over; before this is called, somebody is taken
   * to.
   */
  setListening(listening: boolean): void {
    this.state.listening = listening;
  }

  // Input.

  handleConnected(nowMs: number, generation: number): void {
    handleConnected(this.at(nowMs), generation);
  }

  handleConnectFailed(nowMs: number, generation: number, error: ClientError, random: number): void {
    handleConnectFailed(this.at(nowMs), generation, error, random);
  }

  handleFrame(nowMs: number, frame: Uint8Array): void {
    handleFrame(this.at(nowMs), frame);
  }

  /** `random` is any number from 0 up to but not 1. */
  handleClosed(nowMs: number, random: number, end?: TransportEnd): void {
    handleClosed(this.at(nowMs), random, end);
  }

  handleTimeout(nowMs: number): void {
    const core = this.at(nowMs);
    handleLinkTimeout(core);
    const late = new ClientError('timedOut', 'no answer came; the result is not known');
    for (
      let purpose = core.requests.expire(nowMs);
      purpose;
      purpose = core.requests.expire(nowMs)
    ) {
      onRefused(core, purpose, late);
    }
    handleSyncTimeout(core);
    handleUnknownTimeout(core);
    handleGapTimeout(core);
    handleMissedTimeout(core);
    handleReadsTimeout(core);
    handleWatchTimeout(core);
  }

  /** The batch was applied, or could not be. */
  handleStored(nowMs: number, ticket: number, failure?: string): void {
    const core = this.at(nowMs);
    const batch = this.storing;
    if (batch?.ticket !== ticket) {
      return;
    }
    this.storing = undefined;
    if (failure === undefined) {
      for (const id of batch.sends) {
        onEntryKept(core, id);
      }
      if (batch.keepsTokens) {
        onTokensKept(core);
      }
    } else {
      this.onStoreFailed(batch.sends, batch.keepsTokens, failure);
    }
  }

  private onStoreFailed(sends: ClientMsgId[], keepsTokens: boolean, failure: string): void {
    const core = this.state;
    const error = new ClientError('storage', failure);
    const { outgoing } = core;
    core.storeError = error;
    core.outgoing = { changes: [], durable: false, keepsTokens: false, sends: [] };
    for (const id of [...sends, ...outgoing.sends]) {
      const entry = core.outbox.discard(id);
      if (entry !== undefined) {
        noteSettled(core, entry, { kind: 'dropped', error });
      }
    }
    core.events.push({ kind: 'storageFailed', error });
    if (keepsTokens || outgoing.keepsTokens) {
      onTokensKept(core);
    }
  }

  // Output.

  /** The next batch for the local store, when none is being applied. */
  pollStore(): StoreBatch | undefined {
    const core = this.state;
    if (this.storing !== undefined || core.storeError !== undefined) {
      return undefined;
    }
    for (const id of core.dirtyRecords) {
      const conv = core.convs.get(id);
      if (conv !== undefined) {
        core.put(recordRow(conv.record));
      }
    }
    core.dirtyRecords.clear();
    const { changes, sends, keepsTokens, ...outgoing } = core.outgoing;
    if (changes.length === 0) {
      return undefined;
    }
    core.outgoing = { changes: [], durable: false, keepsTokens: false, sends: [] };
    // What the outbox forgot must not come back after a power cut when the
    // server no longer remembers the ids.
    const durable = outgoing.durable || core.removalsNotDurable >= REMOVALS_NOT_DURABLE_MAX;
    if (durable) {
      core.removalsNotDurable = 0;
    }
    this.lastTicket++;
    this.storing = { ticket: this.lastTicket, sends, keepsTokens };
    return { ticket: this.lastTicket, changes, durable };
  }

  /** Asks for a connection; the number goes back with what came of it. */
  pollConnect(): number | undefined {
    const { link } = this.state;
    const wanted = link.connectWanted;
    link.connectWanted = false;
    return wanted ? link.generation : undefined;
  }

  /**
   * Frames to write. Call it again when they are written: the outbox fills in
   * by what the socket takes.
   */
  pollTransmit(nowMs: number, bufferedBytes = 0): Uint8Array[] {
    const core = this.at(nowMs);
    if (core.link.phase === 'live') {
      flushCursors(core);
      askProfiles(core);
      flushWatch(core);
      flushMembers(core);
      fillSends(core, bufferedBytes);
    }
    const { out } = core.link;
    if (out.length > 0) {
      core.link.out = [];
      core.link.outBytes = 0;
      core.link.sentMs = nowMs;
    }
    return out;
  }

  /**
   * Asks to drop the connection, or the attempt to open one, and to call
   * `handleClosed`. What `pollTransmit` returned before may be written first.
   */
  pollClose(): boolean {
    const { link } = this.state;
    const wanted = link.closeWanted;
    link.closeWanted = false;
    return wanted;
  }

  /** The next event. */
  pollEvent(): CoreEvent | undefined {
    const core = this.state;
    const event = core.events[this.eventsTaken];
    if (event !== undefined) {
      this.eventsTaken++;
      return event;
    }
    core.events.length = 0;
    this.eventsTaken = 0;
    for (const conversation of core.dirtyConversations) {
      core.dirtyConversations.delete(conversation);
      return { kind: 'conversationChanged', conversation };
    }
    for (const conversation of core.dirtyTimelines) {
      core.dirtyTimelines.delete(conversation);
      return { kind: 'timelineChanged', conversation };
    }
    return undefined;
  }

  /** When `handleTimeout` is due. */
  pollTimeout(nowMs: number): number | undefined {
    const core = this.state;
    const live = core.link.phase === 'live';
    const deadlines = [
      core.link.nextDeadlineMs(),
      core.reconnectAtMs,
      core.requests.deadlineMs(),
      core.sync?.retryAtMs,
      core.link.inSession ? unknownDeadlineMs(core) : undefined,
      live ? gapDeadlineMs(core) : undefined,
      live ? missedDeadlineMs(core) : undefined,
      live ? core.readsRetryAtMs : undefined,
      live ? core.watching.retryAtMs : undefined,
      live ? core.outbox.nextDeadlineMs(nowMs) : undefined,
    ].filter((at) => at !== undefined);
    return deadlines.length === 0 ? undefined : Math.min(...deadlines);
  }

  /** A conversation as lists show it. */
  conversation(id: ConversationId): ConversationState | undefined {
    return conversationState(this.state, id);
  }

  private at(nowMs: number): CoreState {
    this.state.nowMs = nowMs;
    return this.state;
  }
}

/**
 * Messages whose leaving the outbox a power cut may undo: fewer than the server
 * remembers ids beyond a window.
 */
const REMOVALS_NOT_DURABLE_MAX = 32;
