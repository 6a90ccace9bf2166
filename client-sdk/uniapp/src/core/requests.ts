/**
 * Requests that wait for their reply.
 *
 * Invariants: an id is in use at most once at a time; every request leaves
 * exactly once: by its reply, by its deadline, or with the connection.
 */
import type { ClientMsgId, ConversationId } from '../model/ids.js';
import type { PageEnd } from './paging.js';
import type { Lesson } from './replies.js';

/** What to do with the reply. */
export type Purpose =
  /** The app asked; the reply is read on the way. */
  | { readonly kind: 'app'; readonly token: number; readonly lesson: Lesson }
  /** Opens the session by credentials or refresh token. */
  | { readonly kind: 'authenticate' }
  /** Fills a gap, or takes the newest page when it is too wide. */
  | {
      readonly kind: 'gap';
      readonly conversation: ConversationId;
      /** The lowest seq that was asked for. */
      readonly from: number;
      readonly newestOnly: boolean;
    }
  /** Opens the connection. */
  | { readonly kind: 'hello' }
  /** Signs out; the app waits. */
  | { readonly kind: 'logout'; readonly token: number }
  /** How far the members of an open group are. */
  | { readonly kind: 'members'; readonly conversation: ConversationId }
  /** Reads what a timeline left out, to tell it. */
  | {
      readonly kind: 'missed';
      readonly conversation: ConversationId;
      readonly from: number;
      readonly to: number;
    }
  /** Pages older or newer messages in; the app waits. */
  | {
      readonly kind: 'page';
      readonly conversation: ConversationId;
      readonly token: number;
      readonly end: PageEnd;
    }
  /** Names of direct conversations' other side. */
  | { readonly kind: 'profiles' }
  /** Moves the read cursor. */
  | { readonly kind: 'read'; readonly conversation: ConversationId; readonly seq: number }
  /** Sends a message of the outbox. */
  | { readonly kind: 'send'; readonly id: ClientMsgId }
  /** A page of a sync. */
  | { readonly kind: 'sync' }
  /** Watches who is on line. */
  | { readonly kind: 'watch' };

interface Waiting {
  readonly purpose: Purpose;
  readonly deadlineMs: number;
}

/** The table of requests, in the order in which they were sent. */
export class Requests {
  private readonly waiting = new Map<string, Waiting>();
  private lastId = 0;
  private app = 0;

  /** Makes an id for a request. Deadlines never go back. */
  start(purpose: Purpose, deadlineMs: number): string {
    do {
      this.lastId = this.lastId >= ID_MAX ? 1 : this.lastId + 1;
    } while (this.waiting.has(String(this.lastId)));
    const id = String(this.lastId);
    this.waiting.set(id, { purpose, deadlineMs });
    this.app += isApp(purpose) ? 1 : 0;
    return id;
  }

  /** The reply to `id` came. */
  finish(id: string): Purpose | undefined {
    const waiting = this.waiting.get(id);
    if (waiting === undefined) {
      return undefined;
    }
    this.waiting.delete(id);
    this.app -= isApp(waiting.purpose) ? 1 : 0;
    return waiting.purpose;
  }

  /** Takes one request out whose time is up. */
  expire(nowMs: number): Purpose | undefined {
    for (const [id, { deadlineMs }] of this.waiting) {
      return deadlineMs > nowMs ? undefined : this.finish(id);
    }
    return undefined;
  }

  /** The connection is gone: takes all out, oldest first. */
  drain(): Purpose[] {
    const purposes = [...this.waiting.values()].map((waiting) => waiting.purpose);
    this.waiting.clear();
    this.app = 0;
    return purposes;
  }

  /** The next deadline. */
  deadlineMs(): number | undefined {
    for (const { deadlineMs } of this.waiting.values()) {
      return deadlineMs;
    }
    return undefined;
  }

  /** Requests of the app that wait. */
  get appLength(): number {
    return this.app;
  }

  /** Whether a request of this kind waits. Linear. */
  contains(kind: Purpose['kind']): boolean {
    return [...this.waiting.values()].some(({ purpose }) => purpose.kind === kind);
  }
}

function isApp(purpose: Purpose): boolean {
  return purpose.kind === 'app' || purpose.kind === 'logout' || purpose.kind === 'page';
}

/** Request ids stay exact in a `number`. */
const ID_MAX = 0xffffffff;
