/** The end of a connection, and what comes after it. */
import { ClientError } from '../error.js';
import { ErrorCode } from '../errorCode.js';
import type { Goodbye } from '../gen/frame.js';
import type { TransportEnd } from '../transport/transport.js';
import { finishLogout, isAboutIdentity, reasonOf, signOut } from './account.js';
import { Link } from './link.js';
import { endWatch } from './presence.js';
import { connect } from './session.js';
import type { CoreState } from './state.js';

/** The connection could not be opened. */
export function handleConnectFailed(
  core: CoreState,
  generation: number,
  error: ClientError,
  random: number,
): void {
  if (core.link.phase === 'opening' && generation === core.link.generation) {
    core.link.error = error;
    handleClosed(core, random, undefined);
  }
}

/**
 * The connection ended, or was dropped because the core asked for it. A close
 * code of 4000 and above says what a Goodbye would have said.
 */
export function handleClosed(core: CoreState, random: number, end: TransportEnd | undefined): void {
  const { link } = core;
  if (link.phase === 'idle') {
    return;
  }
  core.link = new Link(link.generation);
  const liveSince = link.liveSinceMs;
  if (liveSince !== undefined && core.nowMs >= liveSince + core.config.stableAfterMs) {
    core.backoff.reset();
  }
  const goodbye = link.goodbye ?? goodbyeOf(end);
  const error = link.error ?? errorOf(goodbye, end);
  core.lastError = error;
  if (core.tokens !== undefined || core.account !== undefined) {
    core.lostAtMs ??= core.nowMs;
  }
  endRequests(core);
  forgetConnection(core);
  core.events.push({ kind: 'disconnected', error });
  follow(core, link, goodbye, error, random);
}

function follow(
  core: CoreState,
  link: Link,
  goodbye: Goodbye | undefined,
  error: ClientError,
  random: number,
): void {
  if (!core.connectAfterClose && core.auth !== undefined) {
    const { token } = core.auth;
    core.auth = undefined;
    core.reply(token, error);
    return core.setStatus({ kind: 'authRequired' });
  }
  const final = goodbye !== undefined && goodbye.reconnectAfterMs === 0 && !comesBack(goodbye.code);
  if (final && core.tokens !== undefined) {
    return onFinalGoodbye(core, goodbye.code);
  }
  if (core.connectAfterClose) {
    core.connectAfterClose = false;
    return connect(core);
  }
  if (core.tokens !== undefined && !core.stopped) {
    const hint =
      goodbye !== undefined && goodbye.reconnectAfterMs > 0 ? goodbye.reconnectAfterMs : undefined;
    const delay = core.backoff.nextDelayMs(random, hint ?? link.retryHintMs);
    core.reconnectAtMs = core.nowMs + delay;
    core.setStatus({ kind: 'waitingToReconnect', retryAt: core.reconnectAtMs });
  }
}

/** The server closed and said not to come back by ourselves. */
function onFinalGoodbye(core: CoreState, code: number): void {
  core.stopped = true;
  core.connectAfterClose = false;
  if (code === ErrorCode.Replaced) {
    // The tokens are good still: the app may take the place back.
    core.setStatus({ kind: 'signedOut', reason: reasonOf(code) });
  } else if (code === ErrorCode.SignedOut || isAboutIdentity(code)) {
    signOut(core, reasonOf(code));
  } else {
    core.setStatus({ kind: 'offline' });
  }
}

/** What waited for a reply is told that none comes. */
function endRequests(core: CoreState): void {
  const error = new ClientError('timedOut', 'no answer came; the result is not known');
  for (const purpose of core.requests.drain()) {
    if (purpose.kind === 'app' || purpose.kind === 'page') {
      core.reply(purpose.token, error);
    } else if (purpose.kind === 'logout') {
      finishLogout(core, purpose.token, error);
    }
  }
  endWatch(core, error);
}

function forgetConnection(core: CoreState): void {
  core.sync = undefined;
  core.unknown.clear();
  core.outbox.connectionLost();
  for (const id of core.gaps.keys()) {
    core.gaps.set(id, 0);
  }
  for (const id of core.missed.keys()) {
    core.missed.set(id, 0);
  }
  core.cursorsUnconfirmed = new Map([
    ...core.cursorsBeforeHeartbeat,
    ...core.cursorsUnconfirmed,
    ...core.deliveredDue,
  ]);
  core.cursorsBeforeHeartbeat = new Map();
  core.deliveredDue.clear();
  core.convs.forEach((conv) => {
    conv.heardSeq = 0;
  });
}

function goodbyeOf(end: TransportEnd | undefined): Goodbye | undefined {
  if (end === undefined || end.code <= CLOSE_CODE_BASE || end.code > CLOSE_CODE_MAX) {
    return undefined;
  }
  return { code: end.code - CLOSE_CODE_BASE, message: end.reason, reconnectAfterMs: 0 };
}

function errorOf(goodbye: Goodbye | undefined, end: TransportEnd | undefined): ClientError {
  if (goodbye !== undefined) {
    const { code, message, reconnectAfterMs } = goodbye;
    return new ClientError('refused', message, code, reconnectAfterMs);
  }
  return new ClientError('timedOut', `the connection broke${end ? ` (${end.code})` : ''}`);
}

/**
 * Codes after which a client connects again even when the Goodbye forgot to
 * say when.
 */
function comesBack(code: number): boolean {
  return (
    (code >= ErrorCode.GoingAway && code <= ErrorCode.SlowConsumer) ||
    code === ErrorCode.TooManyConnections
  );
}

/** The bridge closes with this plus the number of the error. */
const CLOSE_CODE_BASE = 4000;
const CLOSE_CODE_MAX = 4999;
