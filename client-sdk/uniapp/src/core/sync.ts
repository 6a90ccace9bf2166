/**
 * Bringing this device to what the server holds, page by page.
 *
 * ```text
 * (none) ──wanted──▶ running ──last page──▶ (none)
 *                    running ──wanted──▶ running, once more after this one
 *                    running ──refused, late──▶ waiting ──time──▶ running
 * ```
 *
 * Invariants: a sync sends the same held cursors with every page; a sync that
 * is wanted while one runs follows it, for the pages of that one may be older
 * than the wish; nothing of the outbox goes out before the last page, so a
 * message that an earlier connection had sent is recognised rather than sent
 * again.
 */
import type { HeldCursor } from '../gen/sync.js';
import { type SyncPage, SyncRequest } from '../gen/sync.js';
import { HELD_CURSORS_MAX } from '../limits.js';
import type { ConversationId } from '../model/ids.js';
import { readProfile, writeConversationId } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { exponential } from './backoff.js';
import { resendReads } from './cursors.js';
import { applySynced } from './merge.js';
import { learnProfiles } from './people.js';
import { watchFromStart } from './presence.js';
import { askAllMembers } from './receipts.js';
import type { CoreState } from './state.js';

/** A sync under way. */
export interface SyncRun {
  readonly held: HeldCursor[];
  page: string;
  /** Another one is wanted when this one is done. */
  again: boolean;
  retryAtMs: number | undefined;
  failures: number;
}

/** A conversation that pushes told of before its state came. */
export interface Unknown {
  heardSeq: number;
  /** A sync asks for it then. */
  readonly dueMs: number;
}

/** Collects what is held, for the first page of a sync. */
export function beginSync(core: CoreState): SyncRequest {
  const convs = [...core.convs.values()].filter(
    ({ record, timeline }) => timeline.hi > 0 && !record.gone,
  );
  convs.sort((a, b) => b.record.activityMs - a.record.activityMs);
  const held = convs.slice(0, HELD_CURSORS_MAX).map(({ record, timeline }) => ({
    conversation: writeConversationId(record.id),
    seq: String(timeline.hi),
  }));
  core.sync = { held, page: '0', again: false, retryAtMs: undefined, failures: 0 };
  return { held, page: '0', maxBytes: 0 };
}

/** Asks for the first page of a new sync. */
export function sendSync(core: CoreState): void {
  core.requestFrame({ kind: 'sync' }, Opcode.Sync, SyncRequest.encode(beginSync(core)));
}

/**
 * The server says that pushes were dropped, or something was told of which
 * more must be known.
 */
export function wantSync(core: CoreState): void {
  if (core.sync !== undefined) {
    core.sync.again = true;
  } else if (core.link.inSession) {
    sendSync(core);
  }
}

/** A page came. */
export function onSyncPage(core: CoreState, page: SyncPage): void {
  learnProfiles(core, page.profiles.map(readProfile));
  for (const synced of page.conversations) {
    applySynced(core, synced);
  }
  const run = core.sync;
  if (run === undefined) {
    return;
  }
  if (page.nextPage !== '0') {
    run.page = page.nextPage;
    const request = SyncRequest.encode({ held: run.held, page: run.page, maxBytes: 0 });
    return core.requestFrame({ kind: 'sync' }, Opcode.Sync, request);
  }
  core.sync = undefined;
  if (run.again) {
    sendSync(core);
  } else if (core.link.phase === 'syncing') {
    goLive(core);
  }
}

/** A page was refused or did not come: the sync starts over, later. */
export function onSyncFailed(core: CoreState, retryAfterMs: number): void {
  const run = core.sync;
  if (run !== undefined) {
    const backoff = exponential(SYNC_RETRY_BASE_MS, run.failures, SYNC_RETRY_MAX_MS);
    run.failures++;
    run.retryAtMs = core.nowMs + Math.max(retryAfterMs, backoff);
  }
}

/** Time passed: a sync that failed starts over. */
export function handleSyncTimeout(core: CoreState): void {
  const at = core.sync?.retryAtMs;
  if (core.link.inSession && at !== undefined && at <= core.nowMs) {
    const failures = core.sync?.failures ?? 0;
    sendSync(core);
    if (core.sync !== undefined) {
      (core.sync as SyncRun).failures = failures;
    }
  }
}

function goLive(core: CoreState): void {
  core.link.phase = 'live';
  core.link.liveSinceMs = core.nowMs;
  core.lostAtMs = undefined;
  core.lastError = undefined;
  resendReads(core);
  core.cursorsUnconfirmed.forEach((seq, id) => {
    core.deliveredDue.set(id, Math.max(seq, core.deliveredDue.get(id) ?? 0));
  });
  core.cursorsUnconfirmed.clear();
  watchFromStart(core);
  askAllMembers(core);
  core.setStatus({ kind: 'live' });
}

/**
 * A push told of a conversation that is not known. What it is may be on its
 * way: an invitation's event comes before the state of the group.
 */
export function noteUnknown(core: CoreState, id: ConversationId, seq: number): void {
  const unknown = core.unknown.get(id);
  if (unknown === undefined) {
    core.unknown.set(id, { heardSeq: seq, dueMs: core.nowMs + core.config.gapGraceMs });
  } else {
    unknown.heardSeq = Math.max(unknown.heardSeq, seq);
  }
}

/** When a conversation that is not known is to be asked for. */
export function unknownDeadlineMs(core: CoreState): number | undefined {
  let next: number | undefined;
  core.unknown.forEach(({ dueMs }) => {
    next = Math.min(next ?? dueMs, dueMs);
  });
  return next;
}

/** What should have come did not: a sync tells all. */
export function handleUnknownTimeout(core: CoreState): void {
  const due = unknownDeadlineMs(core);
  if (core.link.inSession && due !== undefined && due <= core.nowMs) {
    core.unknown.clear();
    wantSync(core);
  }
}

const SYNC_RETRY_BASE_MS = 1_000;
const SYNC_RETRY_MAX_MS = 30_000;
