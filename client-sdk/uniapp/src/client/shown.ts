/** What the app looks at: lists and timelines, told at a bearable pace. */
import type { ClientCore } from '../core/clientCore.js';
import { compareConversations, conversationState, TimelineViewer } from '../core/views.js';
import type { ConversationState, Presence } from '../model/conversation.js';
import type { ConversationId, UserId } from '../model/ids.js';
import type { TimelineView } from '../model/message.js';
import { Cell } from './cell.js';

interface Track {
  readonly cell: Cell<TimelineView>;
  count: number;
}

/** A cell, whatever it holds. */
type Markable = Pick<Cell<unknown>, 'invalidate' | 'notify' | 'watched'>;

/** The watched values of a client. */
export class Shown {
  readonly conversations: Cell<readonly ConversationState[]>;
  readonly totalUnread: Cell<number>;
  readonly presence: Cell<ReadonlyMap<UserId, Presence>>;
  private readonly states = new Map<ConversationId, ConversationState>();
  private readonly stale = new Set<ConversationId>();
  private readonly tracks = new Map<ConversationId, Track>();
  private readonly changed = new Set<Markable>();
  private presences: ReadonlyMap<UserId, Presence> = new Map();
  private scheduled = false;
  private lastToldMs = 0;

  constructor(private readonly core: ClientCore) {
    for (const id of core.state.convs.keys()) {
      this.stale.add(id);
    }
    this.conversations = new Cell(() => this.list());
    this.totalUnread = new Cell(() => this.sumUnread());
    this.presence = new Cell(() => this.presences);
  }

  conversationChanged(id: ConversationId): void {
    this.stale.add(id);
    this.mark(this.conversations);
    this.mark(this.totalUnread);
  }

  timelineChanged(id: ConversationId): void {
    const track = this.tracks.get(id);
    if (track !== undefined) {
      this.mark(track.cell);
    }
  }

  presenceChanged(presences: readonly Presence[]): void {
    const next = new Map(this.presences);
    for (const presence of presences) {
      next.set(presence.user, presence);
    }
    this.presences = next;
    this.mark(this.presence);
  }

  /** Keeps of the presences those of people that are watched. */
  keepPresences(users: ReadonlySet<UserId>): void {
    const kept = [...this.presences].filter(([user]) => users.has(user));
    if (kept.length !== this.presences.size) {
      this.presences = new Map(kept);
      this.mark(this.presence);
    }
  }

  /** One more has the timeline open; true for the first. */
  open(id: ConversationId): { readonly cell: Cell<TimelineView>; readonly first: boolean } {
    let track = this.tracks.get(id);
    const first = track === undefined;
    if (track === undefined) {
      const viewer = new TimelineViewer(id);
      track = { cell: new Cell(() => viewer.view(this.core.state)), count: 0 };
      this.tracks.set(id, track);
    }
    track.count++;
    return { cell: track.cell, first };
  }

  /** One fewer has it open; true for the last. */
  close(id: ConversationId): boolean {
    const track = this.tracks.get(id);
    if (track === undefined) {
      return false;
    }
    track.count--;
    if (track.count === 0) {
      this.tracks.delete(id);
    }
    return track.count === 0;
  }

  /** The timelines that are open. */
  opened(): ConversationId[] {
    return [...this.tracks.keys()];
  }

  /** Tells those who listen, once per turn and at most 60 times a second. */
  schedule(): void {
    if (this.scheduled || this.changed.size === 0) {
      return;
    }
    this.scheduled = true;
    const tell = () => this.tell();
    if (Date.now() - this.lastToldMs >= PACE_MS) {
      Promise.resolve().then(tell);
    } else {
      setTimeout(tell, PACE_MS);
    }
  }

  private tell(): void {
    this.scheduled = false;
    this.lastToldMs = Date.now();
    const changed = [...this.changed];
    this.changed.clear();
    for (const cell of changed) {
      if (cell.watched) {
        cell.notify();
      }
    }
  }

  private mark(cell: Markable): void {
    cell.invalidate();
    this.changed.add(cell);
  }

  private list(): readonly ConversationState[] {
    this.refresh();
    const shown = [...this.states.values()].filter((state) => !state.settings.hidden);
    return shown.sort(compareConversations);
  }

  private sumUnread(): number {
    this.refresh();
    let sum = 0;
    this.states.forEach(({ unread, settings }) => {
      sum += settings.muted || settings.hidden ? 0 : unread;
    });
    return sum;
  }

  private refresh(): void {
    for (const id of this.stale) {
      const state = conversationState(this.core.state, id);
      if (state === undefined) {
        this.states.delete(id);
      } else {
        this.states.set(id, state);
      }
    }
    this.stale.clear();
  }
}

const PACE_MS = 16;
