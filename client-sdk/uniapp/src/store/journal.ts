/**
 * Rows in a key-value storage that can write one key at a time and not several
 * together (`uni.setStorage`, WeChat's storage).
 *
 * ```text
 * <name>/head       the number of the snapshot, its pages, the first journal entry
 * <name>/s<n>.<k>   page k of snapshot n
 * <name>/j<n>.<k>   part k of journal entry n: one batch
 * ```
 *
 * A batch is one journal entry, written by one write; one that is too long for
 * a key goes in parts and counts only when its last part is there. When the
 * journal is long, all rows are written as a new snapshot, and one write of the
 * head makes it count. So a program that is killed at any moment finds all of a
 * batch or nothing.
 *
 * Invariants: what the head names is there; what it does not name is rubbish,
 * and is removed when the store is loaded.
 */
import { Rows } from './memory.js';
import type { LocalStore, StoreChange, StoreRow } from './store.js';

/** A storage of text by key. Writes take place in the order of the calls. */
export interface KeyValueStorage {
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  remove(key: string): void;
  /** The keys that begin with `prefix`. */
  keys(prefix: string): string[];
}

/** Limits of the storage. */
export interface JournalLimits {
  /** Characters in one key. */
  readonly valueCharsMax: number;
  /** Messages that it has room for. */
  readonly messagesMax: number;
}

interface Head {
  readonly snapshot: number;
  readonly pages: number;
  /** Entries below this one are in the snapshot. */
  readonly from: number;
}

interface Part {
  readonly last: boolean;
  readonly text: string;
}

/** A store of rows in `storage` under `name`. */
export function journalStore(
  storage: KeyValueStorage,
  name: string,
  limits: JournalLimits,
): LocalStore {
  return new JournalStore(storage, name, limits);
}

class JournalStore implements LocalStore {
  private rows = new Rows();
  private head: Head = { snapshot: 0, pages: 0, from: 1 };
  private next = 1;
  private snapshotChars = 0;
  private journalChars = 0;

  constructor(
    private readonly storage: KeyValueStorage,
    private readonly name: string,
    private readonly limits: JournalLimits,
  ) {}

  get messagesMax(): number {
    return this.limits.messagesMax;
  }

  async load(): Promise<StoreRow[]> {
    this.rows = new Rows();
    const head = this.storage.get(`${this.name}/head`);
    this.head = head === undefined ? { snapshot: 0, pages: 0, from: 1 } : JSON.parse(head);
    const snapshot = this.snapshot();
    this.snapshotChars = snapshot.length;
    const rows: StoreRow[] = JSON.parse(snapshot || '[]');
    this.rows.apply(rows.map((row) => ({ kind: 'put', row })));
    this.next = this.head.from;
    for (let entry = this.entry(this.next); entry !== undefined; entry = this.entry(this.next)) {
      this.rows.apply(entry);
      this.next++;
    }
    this.removeRubbish();
    return this.rows.all();
  }

  async apply(changes: readonly StoreChange[]): Promise<void> {
    const parts = split(JSON.stringify(changes), this.limits.valueCharsMax);
    parts.forEach((text, index) => {
      const part: Part = { last: index === parts.length - 1, text };
      this.storage.set(`${this.name}/j${this.next}.${index}`, JSON.stringify(part));
    });
    this.next++;
    this.rows.apply(changes);
    this.journalChars += parts.join('').length;
    const entries = this.next - this.head.from;
    const isLong = entries >= JOURNAL_ENTRIES_MIN && this.journalChars * 4 >= this.snapshotChars;
    if (isLong || entries >= JOURNAL_ENTRIES_MAX) {
      this.settle();
    }
  }

  async close(): Promise<void> {}

  /** Writes all rows as a new snapshot and drops what it replaces. */
  private settle(): void {
    const before = this.head;
    const snapshot = before.snapshot + 1;
    const text = JSON.stringify(this.rows.all());
    const pages = split(text, this.limits.valueCharsMax);
    pages.forEach((page, index) => {
      this.storage.set(`${this.name}/s${snapshot}.${index}`, page);
    });
    this.head = { snapshot, pages: pages.length, from: this.next };
    this.storage.set(`${this.name}/head`, JSON.stringify(this.head));
    this.snapshotChars = text.length;
    this.journalChars = 0;
    this.removeRubbish();
  }

  private snapshot(): string {
    let text = '';
    for (let page = 0; page < this.head.pages; page++) {
      const part = this.storage.get(`${this.name}/s${this.head.snapshot}.${page}`);
      if (part === undefined) {
        throw new Error('the local storage lost a part of what it keeps');
      }
      text += part;
    }
    return text;
  }

  /** The batch of a journal entry; `undefined` when not all of it is there. */
  private entry(number: number): StoreChange[] | undefined {
    let text = '';
    for (let index = 0; ; index++) {
      const value = this.storage.get(`${this.name}/j${number}.${index}`);
      if (value === undefined) {
        return undefined;
      }
      const part: Part = JSON.parse(value);
      text += part.text;
      if (part.last) {
        return JSON.parse(text);
      }
    }
  }

  private removeRubbish(): void {
    const { snapshot, from } = this.head;
    for (const key of this.storage.keys(`${this.name}/`)) {
      const place = /\/([sj])([0-9]+)\.[0-9]+$/.exec(key);
      if (place === null) {
        continue;
      }
      const number = Number(place[2]);
      const kept = place[1] === 's' ? number === snapshot : number >= from && number < this.next;
      if (!kept) {
        this.storage.remove(key);
      }
    }
  }
}

/** Parts of at most `charsMax` characters; at least one. */
function split(text: string, charsMax: number): string[] {
  const parts: string[] = [];
  for (let at = 0; at === 0 || at < text.length; at += charsMax) {
    parts.push(text.slice(at, at + charsMax));
  }
  return parts;
}

/** A journal is settled when it is a quarter of the snapshot, within these. */
const JOURNAL_ENTRIES_MIN = 64;
const JOURNAL_ENTRIES_MAX = 256;
