/**
 * How long to wait before connecting again: full jitter over an exponential
 * bound, and the server's own hint above all.
 */

/** Counts failures and draws delays. */
export class Backoff {
  private failures = 0;

  constructor(
    private readonly baseMs: number,
    private readonly maxMs: number,
  ) {}

  /** Starts over, after a session that was stable. */
  reset(): void {
    this.failures = 0;
  }

  /** Upper bound of the next delay, inclusive. */
  boundMs(): number {
    return exponential(this.baseMs, this.failures, this.maxMs);
  }

  /**
   * Counts a failure and says how long to wait: the server's hint when it gave
   * one (it is jittered already), otherwise uniform up to the bound by
   * `random`, from 0 up to but not 1.
   */
  nextDelayMs(random: number, hintMs: number | undefined): number {
    const bound = this.boundMs();
    this.failures++;
    return hintMs ?? Math.floor(random * (bound + 1));
  }
}

/** `base * 2^exponent`, at most `max`. */
export function exponential(base: number, exponent: number, max: number): number {
  return Math.min(base * 2 ** Math.min(exponent, 40), max);
}
