/**
 * The messages of one conversation that this device holds.
 *
 * ```text
 *   seq   firstSeq ........ lo ━━━━━━━━━━━━━━━ hi . . ▪▪ . ▪ . . last
 *         (can be paged in) (held, no gap)         (held ahead of a gap)
 * ```
 *
 * Invariants: every seq in `lo..=hi` is held; nothing below `lo` is; a seq is
 * held at most once; `hi <= last`. So the cursor that a sync starts from is
 * `hi`, and a gap is `hi < last`: nothing is searched.
 */
import type { UserId } from '../model/ids.js';
import type { Message } from '../model/message.js';

/** The held part of a conversation. */
export class Timeline {
  /** The lowest seq held, or that of the first message to come. */
  lo: number;
  /** The newest seq known to exist. */
  last: number;
  /** Held without a gap, ascending. A change makes a new array. */
  private stretch: readonly Message[] = [];
  private readonly ahead = new Map<number, Message>();
  private atStart: boolean;

  /** An empty timeline whose first message will be `nextSeq`. */
  constructor(nextSeq: number) {
    this.lo = Math.max(nextSeq, 1);
    this.last = this.lo - 1;
    this.atStart = this.lo === 1;
  }

  /** The timeline that a store kept; `messages` is ascending. */
  static restored(messages: readonly Message[], lastSeq: number): Timeline {
    const timeline = new Timeline(messages[0]?.seq ?? lastSeq + 1);
    for (const message of messages) {
      timeline.insert(message);
    }
    timeline.last = Math.max(timeline.last, lastSeq);
    return timeline;
  }

  /** The highest seq held without a gap below it. */
  get hi(): number {
    return this.lo + this.stretch.length - 1;
  }

  /** What is held without a gap, ascending. The array does not change. */
  get held(): readonly Message[] {
    return this.stretch;
  }

  /** How many messages are held. */
  get length(): number {
    return this.stretch.length + this.ahead.size;
  }

  /** How many are held above a gap. */
  get aheadLength(): number {
    return this.ahead.size;
  }

  /** Takes in a message that the server stored; false when it is known. */
  insert(message: Message): boolean {
    const { seq } = message;
    if (seq <= this.hi || this.ahead.has(seq)) {
      return false;
    }
    this.ahead.set(seq, message);
    this.last = Math.max(this.last, seq);
    this.advance();
    return true;
  }

  /**
   * Takes in older messages, ascending: those that join what is held without
   * a gap. Returns how many joined.
   */
  prepend(page: readonly Message[]): number {
    const joining: Message[] = [];
    for (let at = page.length - 1; at >= 0; at--) {
      const message = page[at] as Message;
      if (message.seq + 1 === this.lo - joining.length) {
        joining.push(message);
      }
    }
    this.lo -= joining.length;
    this.stretch = joining.reverse().concat(this.stretch);
    this.atStart = this.atStart || this.lo === 1;
    return joining.length;
  }

  /** There is nothing below what is held that the user may see. */
  reachedStart(): void {
    this.atStart = true;
  }

  /** Messages up to `seq` exist. */
  extendTo(seq: number): void {
    this.last = Math.max(this.last, seq);
  }

  /** Gives up what is held below `seq`, so that it can be paged in again. */
  rebase(seq: number): void {
    const lo = Math.max(seq, 1);
    if (lo <= this.lo) {
      return;
    }
    this.stretch = this.stretch.slice(lo - this.lo);
    this.lo = lo;
    for (const key of [...this.ahead.keys()]) {
      if (key < lo) {
        this.ahead.delete(key);
      }
    }
    this.last = Math.max(this.last, this.hi);
    this.atStart = false;
    this.advance();
  }

  /** Gives up what lies above `seq`: the server no longer has it. */
  rewind(seq: number): void {
    for (const key of [...this.ahead.keys()]) {
      if (key > seq) {
        this.ahead.delete(key);
      }
    }
    this.stretch = this.stretch.slice(0, Math.max(seq - this.lo + 1, 0));
    this.lo = Math.min(this.lo, seq + 1);
    this.last = Math.min(this.last, seq);
  }

  /** Keeps the newest `messagesMax`; only what has no gap above it goes. */
  trim(messagesMax: number): void {
    const excess = this.length - messagesMax;
    if (excess > 0 && excess < this.stretch.length) {
      this.rebase(this.lo + excess);
    }
  }

  /** The lowest range of seqs that exist and are not held. */
  gap(): { from: number; to: number } | undefined {
    const { hi } = this;
    if (hi >= this.last) {
      return undefined;
    }
    const above = this.ahead.size === 0 ? this.last + 1 : Math.min(...this.ahead.keys());
    return { from: hi + 1, to: above - 1 };
  }

  /** Whether something below what is held can be paged in. */
  hasOlder(firstSeq: number): boolean {
    return !this.atStart && this.lo > Math.max(firstSeq, 1);
  }

  /** The newest message held, also above a gap. */
  newest(): Message | undefined {
    if (this.ahead.size > 0) {
      return this.ahead.get(Math.max(...this.ahead.keys()));
    }
    return this.stretch[this.stretch.length - 1];
  }

  /** The newest held seq from `from` on that somebody other than `me` wrote. */
  newestOfOthers(from: number, me: UserId): number | undefined {
    for (let at = this.stretch.length - 1; at >= Math.max(from - this.lo, 0); at--) {
      const message = this.stretch[at] as Message;
      if (message.sender !== me) {
        return message.seq;
      }
    }
    return undefined;
  }

  /** Held messages from `seq` on, ascending. */
  heldFrom(seq: number): readonly Message[] {
    return this.stretch.slice(Math.max(seq - this.lo, 0));
  }

  private advance(): void {
    const joining: Message[] = [];
    let next = this.hi + 1;
    for (
      let message = this.ahead.get(next);
      message !== undefined;
      message = this.ahead.get(next)
    ) {
      joining.push(message);
      this.ahead.delete(next);
      next++;
    }
    if (joining.length > 0) {
      this.stretch = this.stretch.concat(joining);
    }
    this.last = Math.max(this.last, this.hi);
  }
}
