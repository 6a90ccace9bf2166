/**
 * Who is signed in: taking over a session, keeping its tokens before it is
 * used, and letting go of it.
 */
import { ClientError } from '../error.js';
import { ErrorCode } from '../errorCode.js';
import type { Session, Welcome } from '../gen/auth.js';
import type { Error as ErrorPb } from '../gen/frame.js';
import { isId } from '../model/ids.js';
import type { SignOutReason } from '../model/status.js';
import { readNumber } from '../model/wire.js';
import { refusal } from './replies.js';
import type { Purpose } from './requests.js';
import { accountRow, tokensRow } from './rows.js';
import { close, sendCredentials } from './session.js';
import type { CoreState } from './state.js';
import { onSyncPage, sendSync } from './sync.js';

/** Hello was answered. */
export function onWelcome(core: CoreState, welcome: Welcome): void {
  core.serverAheadMs = readNumber(welcome.serverTimeMs) - core.nowMs;
  if (welcome.heartbeatMs > 0) {
    core.link.heartbeatMs = Math.max(welcome.heartbeatMs, HEARTBEAT_MIN_MS);
  }
  if (welcome.session === undefined) {
    return;
  }
  if (!adopt(core, welcome.session)) {
    return close(core, new ClientError('protocol', 'the session names no user'));
  }
  openSession(core);
  if (welcome.resumed === undefined) {
    sendSync(core);
  } else {
    onSyncPage(core, welcome.resumed);
  }
}

/** Credentials or a refresh token opened a session. */
export function onSession(core: CoreState, session: Session, payload: Uint8Array): void {
  const adopted = adopt(core, session);
  if (!adopted || session.tokens === undefined) {
    return close(core, new ClientError('protocol', 'the session has no user or tokens'));
  }
  const { accessToken, accessExpiresMs, refreshToken, refreshExpiresMs } = session.tokens;
  core.tokens = {
    accessToken,
    accessExpiresMs: readNumber(accessExpiresMs) - core.serverAheadMs,
    refreshToken,
    refreshExpiresMs: readNumber(refreshExpiresMs) - core.serverAheadMs,
  };
  core.refreshFirst = false;
  core.authReply = core.auth && { token: core.auth.token, payload };
  core.auth = undefined;
  core.put(tokensRow(core.tokens));
  core.outgoing.durable = true;
  core.outgoing.keepsTokens = true;
  core.link.phase = 'keepingTokens';
  if (core.storeError !== undefined) {
    onTokensKept(core);
  }
}

/** The tokens are kept (or cannot be): the session may be used. */
export function onTokensKept(core: CoreState): void {
  if (core.authReply !== undefined) {
    core.reply(core.authReply.token, core.authReply.payload);
    core.authReply = undefined;
  }
  if (core.link.phase === 'keepingTokens') {
    openSession(core);
    sendSync(core);
  }
}

function openSession(core: CoreState): void {
  core.link.phase = 'syncing';
  core.link.deadlineMs = undefined;
  if (core.account !== undefined) {
    core.events.push({ kind: 'signedIn', account: core.account });
  }
  core.setStatus({ kind: 'syncing' });
}

/** Takes over who is signed in; what another account left is forgotten. */
function adopt(core: CoreState, session: Session): boolean {
  const { userId: user, name, displayName } = session;
  if (!isId(user)) {
    return false;
  }
  if (core.account !== undefined && core.account.user !== user) {
    const { tokens } = core;
    core.forgetAccount();
    core.tokens = tokens;
  }
  const before = core.account;
  if (before === undefined || before.name !== name || before.displayName !== displayName) {
    core.account = { user, name, displayName };
    core.put(accountRow(core.account));
  }
  return true;
}

/** Hello or the credentials were refused. */
export function onHandshakeRefused(core: CoreState, purpose: Purpose, error: ErrorPb): void {
  const refused = refusal(error);
  if (core.auth !== undefined) {
    const { token } = core.auth;
    core.auth = undefined;
    core.reply(token, refused);
    core.setStatus({ kind: 'authRequired' });
    return close(core, refused);
  }
  const { code } = error;
  if (
    purpose.kind === 'hello' &&
    (code === ErrorCode.TokenExpired || code === ErrorCode.TokenInvalid)
  ) {
    core.refreshFirst = true;
    return sendCredentials(core);
  }
  if (isAboutIdentity(code)) {
    close(core, refused);
    return signOut(core, reasonOf(code));
  }
  core.link.retryHintMs = error.retryAfterMs > 0 ? error.retryAfterMs : undefined;
  close(core, refused);
}

/** The app signed out; `result` says whether the server knows. */
export function finishLogout(
  core: CoreState,
  token: number,
  result: Uint8Array | ClientError,
): void {
  core.stopped = true;
  core.reconnectAtMs = undefined;
  core.forgetAccount();
  close(core, new ClientError('closed', 'the account was signed out'));
  core.setStatus({ kind: 'signedOut', reason: { kind: 'logout' } });
  core.reply(token, result);
}

/**
 * The tokens are worth nothing any more. What the account holds on this device
 * stays for the next sign-in.
 */
export function signOut(core: CoreState, reason: SignOutReason): void {
  core.tokens = undefined;
  core.reconnectAtMs = undefined;
  core.change({ kind: 'remove', section: 'meta', key: 'tokens' });
  core.outgoing.durable = true;
  core.setStatus({ kind: 'signedOut', reason });
}

/** What a code says about the end of a session. */
export function reasonOf(code: number): SignOutReason {
  switch (code) {
    case ErrorCode.Replaced:
      return { kind: 'replaced' };
    case ErrorCode.BadCredentials:
    case ErrorCode.TokenExpired:
    case ErrorCode.TokenInvalid:
      return { kind: 'tokenExpired', code };
    case ErrorCode.AccountDeactivated:
    case ErrorCode.AccountBanned:
      return { kind: 'accountClosed', code };
    default:
      return { kind: 'signedOut', code };
  }
}

/** Codes that say that these tokens will never work again. */
export function isAboutIdentity(code: number): boolean {
  return code >= ErrorCode.BadCredentials && code <= ErrorCode.AccountBanned;
}

const HEARTBEAT_MIN_MS = 1_000;
