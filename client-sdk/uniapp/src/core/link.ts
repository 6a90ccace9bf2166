/** What belongs to one connection. */
import type { ClientError } from '../error.js';
import type { Goodbye } from '../gen/frame.js';

/**
 * Where a connection is in its life: none; asked for; Hello sent; tokens being
 * kept; in session and catching up; in session; to be closed by the driver.
 */
export type Phase =
  | 'closing'
  | 'handshake'
  | 'idle'
  | 'keepingTokens'
  | 'live'
  | 'opening'
  | 'syncing';

/** One connection, or none. */
export class Link {
  phase: Phase = 'idle';
  /** Encoded frames that wait to be written. */
  out: Uint8Array[] = [];
  outBytes = 0;
  liveSinceMs: number | undefined;
  connectWanted = false;
  closeWanted = false;
  heartbeatMs = HEARTBEAT_DEFAULT_MS;
  sentMs = 0;
  receivedMs = 0;
  heartbeatSentMs: number | undefined;
  /** Until then something must be heard, or the connection counts as dead. */
  probeUntilMs: number | undefined;
  deadlineMs: number | undefined;
  goodbye: Goodbye | undefined;
  error: ClientError | undefined;
  retryHintMs: number | undefined;

  constructor(readonly generation: number) {}

  get inSession(): boolean {
    return this.phase === 'syncing' || this.phase === 'live';
  }

  get isOpen(): boolean {
    return this.inSession || this.phase === 'handshake' || this.phase === 'keepingTokens';
  }

  /** When the connection counts as dead. */
  deadAtMs(): number {
    return Math.min(this.receivedMs + this.heartbeatMs * 2.5, this.probeUntilMs ?? Infinity);
  }

  /**
   * When a heartbeat is due: nothing was sent, or nothing was heard and
   * nothing asked, for one interval.
   */
  heartbeatDueMs(): number {
    const silent = this.sentMs + this.heartbeatMs;
    return this.heartbeatSentMs === undefined
      ? Math.min(silent, this.receivedMs + this.heartbeatMs)
      : silent;
  }

  /** The next moment at which the connection needs attention. */
  nextDeadlineMs(): number | undefined {
    switch (this.phase) {
      case 'idle':
      case 'closing':
        return undefined;
      case 'syncing':
      case 'live':
        return Math.min(this.deadAtMs(), this.heartbeatDueMs());
      default:
        return this.deadlineMs;
    }
  }

  /** Appends a frame to what goes out. */
  write(frame: Uint8Array): void {
    this.out.push(frame);
    this.outBytes += frame.length;
  }
}

const HEARTBEAT_DEFAULT_MS = 30_000;
