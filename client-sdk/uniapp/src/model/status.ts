/** How the client stands with the server. `docs/SDK.md` draws the states. */
import type { ClientError, ErrorCodeNumber } from '../error.js';
import type { Account, DeviceState } from './conversation.js';

/** Why a session ended for good. */
export type SignOutReason =
  /** Another device took this one's place; `resume` takes it back. */
  | { readonly kind: 'replaced' }
  /** This device was signed out from another one or by the server. */
  | { readonly kind: 'signedOut'; readonly code: ErrorCodeNumber }
  /** The tokens have expired or are refused: log in again. */
  | { readonly kind: 'tokenExpired'; readonly code: ErrorCodeNumber }
  /** The account was closed or banned. */
  | { readonly kind: 'accountClosed'; readonly code: ErrorCodeNumber }
  /** The app signed out. */
  | { readonly kind: 'logout' };

interface StatusBase {
  /** When this status began, in milliseconds since 1970 by this device. */
  readonly since: number;
  /**
   * When the connection was last lost and not yet found again; `undefined`
   * while all is well, and before the first connection.
   */
  readonly lostAt: number | undefined;
  /** Why the last connection ended or could not be opened. */
  readonly error: ClientError | undefined;
}

/** How the client stands with the server. */
export type Status =
  /** Not connected, by wish or for a reason that waiting does not mend. */
  | (StatusBase & { readonly kind: 'offline' })
  /** Nobody is signed in: credentials are needed. */
  | (StatusBase & { readonly kind: 'authRequired' })
  /** A connection or its session is being opened. */
  | (StatusBase & { readonly kind: 'connecting' })
  /** In session, catching up. */
  | (StatusBase & { readonly kind: 'syncing' })
  /** In session and up to date. */
  | (StatusBase & { readonly kind: 'live' })
  /** The connection was lost; the next attempt is due at `retryAt`. */
  | (StatusBase & { readonly kind: 'waitingToReconnect'; readonly retryAt: number })
  /** The session ended for good; credentials are needed (or `resume`). */
  | (StatusBase & { readonly kind: 'signedOut'; readonly reason: SignOutReason });

/** The account that is signed in on this device. */
export interface AccountState {
  /** `undefined` when nobody is. */
  readonly account: Account | undefined;
  readonly status: Status;
  /**
   * The account's devices as `devices()` last found them, less those signed
   * out from here since; `undefined` before.
   */
  readonly devices: readonly DeviceState[] | undefined;
}
