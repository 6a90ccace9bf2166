/** What can go wrong for the app, by what is known of the result. */
import type { ErrorCodeNumber } from './errorCode.js';
import { ErrorCode } from './errorCode.js';

export type { ErrorCodeNumber } from './errorCode.js';

/**
 * - `refused`: the server answered, and the answer is no; `code` says why.
 * - `offline`: there is no session; nothing was sent.
 * - `timedOut`: no answer came; whether it was done is not known.
 * - `closed`: the client was shut down, or the account changed meanwhile.
 * - `outboxFull`: as many messages wait to be sent as there can be.
 * - `tooManyRequests`: as many requests wait for a reply as there can be.
 * - `windowFull`: as many older messages of a conversation that is not open are
 *   in memory as there can be.
 * - `invalid`: an argument that the server would refuse; nothing was sent.
 * - `protocol`: the peer does not speak the protocol.
 * - `storage`: the local store failed; what it was to keep was not kept.
 * - `connect`: the connection could not be opened. Browsers do not say why.
 */
export type ClientErrorKind =
  | 'closed'
  | 'connect'
  | 'invalid'
  | 'offline'
  | 'outboxFull'
  | 'protocol'
  | 'refused'
  | 'storage'
  | 'timedOut'
  | 'tooManyRequests'
  | 'windowFull';

/** Why a call failed. Ask for `kind` and `is(code)`; never read the text. */
export class ClientError extends Error {
  /** What is known of the result. */
  readonly kind: ClientErrorKind;
  /** The code of a refusal; zero for other kinds. */
  readonly code: ErrorCodeNumber;
  /** When above zero: trying again after so many milliseconds may help. */
  readonly retryAfterMs: number;

  constructor(kind: ClientErrorKind, message: string, code = 0, retryAfterMs = 0) {
    super(message);
    // Transpiled classes lose the prototype of built-ins.
    Object.setPrototypeOf(this, ClientError.prototype);
    this.name = 'ClientError';
    this.kind = kind;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** True for a refusal with this code, for example `ErrorCode.NameTaken`. */
  is(code: ErrorCodeNumber): boolean {
    return this.kind === 'refused' && this.code === code;
  }

  /** True for a refusal that says "not now" rather than "no". */
  get isTransient(): boolean {
    if (this.kind !== 'refused') {
      return false;
    }
    const { RateLimited, Busy, StoreUnavailable, Internal } = ErrorCode;
    return (
      this.code === RateLimited ||
      this.code === Busy ||
      this.code === StoreUnavailable ||
      (this.code === Internal && this.retryAfterMs > 0)
    );
  }
}
