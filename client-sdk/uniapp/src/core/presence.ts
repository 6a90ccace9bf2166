/**
 * Watching who is on line.
 *
 * The server takes or refuses a set of people as a whole and does not say whom
 * it refused for. So those with whom there is no conversation are left out from
 * the start, and a set that is refused all the same is halved until it is known
 * who may be watched:
 *
 * ```text
 * due ──ask──▶ asking ──taken──▶ more to ask? ──no──▶ done, each told
 *                │                     └─yes─▶ asking with some more
 *                ├──NotAllowed──▶ asking with half of the new ones
 *                └──refused for now, late──▶ due again, later
 * ```
 *
 * Invariants: at most one request is on its way; what the server watches is
 * what it took last; a wish stands until there is another one.
 */
import { ClientError } from '../error.js';
import { ErrorCode } from '../errorCode.js';
import { type Presences, WatchPresence } from '../gen/presence.js';
import { WATCHED_MAX } from '../limits.js';
import type { ConversationId, UserId } from '../model/ids.js';
import { isId, peerOf } from '../model/ids.js';
import { readNumber } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { exponential } from './backoff.js';
import type { CoreState } from './state.js';
import { directWith } from './state.js';

/**
 * Watches people instead of whom was watched before. A `watching` event says of
 * each whether the server allows it, or a `reply` with an error that it could
 * not be asked.
 * @throws ClientError `invalid` for more than 500 people, otherwise as a
 * request; without a session they are watched from the next one on all the
 * same.
 */
export function watchPresence(core: CoreState, token: number, users: readonly UserId[]): void {
  const wanted = [...new Set(users)];
  if (wanted.length > WATCHED_MAX || !wanted.every(isId)) {
    throw new ClientError('invalid', 'more than 500 people to watch, or one that is no user');
  }
  const { watching } = core;
  watching.wanted = wanted;
  watching.failures = 0;
  watching.retryAtMs = undefined;
  watching.due = true;
  if (watching.token !== undefined) {
    core.reply(watching.token, new ClientError('invalid', 'a later call watches other people'));
    watching.token = undefined;
  }
  core.checkRequest();
  watching.token = token;
}

/** Asks for what is due. Called while the session is live. */
export function flushWatch(core: CoreState): void {
  const { watching } = core;
  if (!watching.due || watching.asking !== undefined) {
    return;
  }
  watching.due = false;
  watching.retryAtMs = undefined;
  const fresh = watching.wanted.filter((user) => isContact(core, user));
  const refused = new Set(watching.wanted.filter((user) => !fresh.includes(user)));
  watching.asking = { taken: [], fresh, left: [], told: false, refused, refusedByServer: false };
  askWatch(core);
}

/** A new session: the server watches nobody for it yet. */
export function watchFromStart(core: CoreState): void {
  const { watching } = core;
  watching.due = watching.due || watching.wanted.length > 0 || watching.token !== undefined;
}

/** Pushes were dropped, those about presence among them perhaps. */
export function watchAgain(core: CoreState): void {
  core.watching.due = core.watching.due || core.watching.wanted.length > 0;
}

/** A conversation with somebody has begun. */
export function noteContact(core: CoreState, id: ConversationId): void {
  const peer = core.me && peerOf(id, core.me);
  if (peer === undefined) {
    return;
  }
  const { watching } = core;
  const leftOut = watching.asking?.refused.delete(peer) ?? false;
  if (watching.refused.delete(peer) || leftOut) {
    watching.failures = 0;
    watching.due = true;
  }
}

/** The server took the set. */
export function onWatchTaken(core: CoreState): void {
  const { asking } = core.watching;
  if (asking !== undefined) {
    asking.told = true;
    asking.taken.push(...asking.fresh);
    asking.fresh = [];
    askNextWatch(core);
  }
}

/** The server refused the set, or did not answer. */
export function onWatchRefused(core: CoreState, error: ClientError): void {
  const { watching } = core;
  const { asking } = watching;
  if (asking === undefined) {
    return;
  }
  if (!error.is(ErrorCode.NotAllowed)) {
    watching.asking = undefined;
    if (error.kind === 'timedOut' || error.isTransient) {
      retryWatch(core, error.retryAfterMs);
    }
    return replyWatch(core, error);
  }
  const { fresh } = asking;
  asking.fresh = [];
  if (fresh.length > 1) {
    const half = Math.floor(fresh.length / 2);
    asking.left.push(fresh.slice(half), fresh.slice(0, half));
  } else {
    asking.refusedByServer = asking.refusedByServer || fresh.length > 0;
    fresh.forEach((user) => {
      asking.refused.add(user);
    });
  }
  askNextWatch(core);
}

/** The connection is gone, and with it what was asked. */
export function endWatch(core: CoreState, error: ClientError): void {
  core.watching.asking = undefined;
  core.watching.retryAtMs = undefined;
  replyWatch(core, error);
}

/** Time passed: a wish that failed is asked for again. */
export function handleWatchTimeout(core: CoreState): void {
  const at = core.watching.retryAtMs;
  if (at !== undefined && at <= core.nowMs) {
    core.watching.retryAtMs = undefined;
    core.watching.due = true;
  }
}

/** People went on or off line. */
export function onPresences(core: CoreState, message: Presences): void {
  const presences = message.presences
    .filter(({ user }) => isId(user))
    .map(({ user, online, lastSeenMs }) => ({ user, online, lastSeenMs: readNumber(lastSeenMs) }));
  if (presences.length > 0) {
    core.events.push({ kind: 'presence', presences });
  }
}

function replyWatch(core: CoreState, error: ClientError): void {
  if (core.watching.token !== undefined) {
    core.reply(core.watching.token, error);
    core.watching.token = undefined;
  }
}

function askNextWatch(core: CoreState): void {
  const { watching } = core;
  if (watching.due) {
    // The wish is another one by now.
    watching.asking = undefined;
    return;
  }
  const { asking } = watching;
  if (asking === undefined) {
    return;
  }
  const next = asking.left.pop();
  if (next !== undefined) {
    asking.fresh = next;
  } else if (asking.told) {
    return finishWatch(core);
  }
  // Once more, with nobody: or those from before stay watched.
  askWatch(core);
}

function askWatch(core: CoreState): void {
  const { asking } = core.watching;
  if (asking !== undefined) {
    const request = WatchPresence.encode({ users: [...asking.taken, ...asking.fresh] });
    core.requestFrame({ kind: 'watch' }, Opcode.WatchPresence, request);
  }
}

function finishWatch(core: CoreState): void {
  const { watching } = core;
  const { asking } = watching;
  if (asking === undefined) {
    return;
  }
  watching.asking = undefined;
  watching.refused = asking.refused;
  if (asking.refusedByServer) {
    retryWatch(core, 0);
  } else {
    watching.failures = 0;
  }
  const { token, refused, wanted } = watching;
  if (token !== undefined) {
    watching.token = undefined;
    const people = wanted.map((user) => ({ user, watched: !refused.has(user) }));
    core.events.push({ kind: 'watching', token, people });
  }
}

function retryWatch(core: CoreState, retryAfterMs: number): void {
  const { watching } = core;
  if (watching.failures < ATTEMPTS_MAX) {
    const delay = exponential(RETRY_BASE_MS, watching.failures, RETRY_MAX_MS);
    watching.failures++;
    watching.retryAtMs = core.nowMs + Math.max(delay, retryAfterMs);
  }
}

/**
 * Whether there is a direct conversation in which something was said: the
 * server tells presence to those.
 */
function isContact(core: CoreState, user: UserId): boolean {
  const id = directWith(core, user);
  return id !== undefined && (core.convs.get(id)?.record.lastSeq ?? 0) > 0;
}

const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 30_000;
/**
 * Attempts for people whom the server refuses although there is a conversation:
 * it may not have listed a new one yet.
 */
const ATTEMPTS_MAX = 6;
