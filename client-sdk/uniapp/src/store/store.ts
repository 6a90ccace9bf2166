/**
 * What must outlive the program, and the seam to where it is kept. The client
 * changes a store only by batches, one at a time; a batch is atomic.
 */

/** A section of a store: rows of one kind. */
export type Section = 'conversation' | 'message' | 'meta' | 'outbox' | 'profile' | 'settings';

/** One row: keys sort as text, values are plain text. */
export interface StoreRow {
  readonly section: Section;
  readonly key: string;
  readonly value: string;
}

/** One change of a store. */
export type StoreChange =
  /** Puts or replaces a row. */
  | { readonly kind: 'put'; readonly row: StoreRow }
  /** Forgets a row. */
  | { readonly kind: 'remove'; readonly section: Section; readonly key: string }
  /** Forgets the rows with `from <= key < to`. */
  | {
      readonly kind: 'removeRange';
      readonly section: Section;
      readonly from: string;
      readonly to: string;
    }
  /** Forgets all rows of a section. */
  | { readonly kind: 'clear'; readonly section: Section };

/** Keeps rows. One method is called at a time. */
export interface LocalStore {
  /** How many messages the platform has room for; left out: 50,000. */
  readonly messagesMax?: number;
  /** All rows, those of `message` in ascending order of key. */
  load(): Promise<StoreRow[]>;
  /**
   * Applies the changes in order, together or not at all. When `durable`,
   * they are kept once this resolves, as well as the platform can keep them.
   */
  apply(changes: readonly StoreChange[], durable: boolean): Promise<void>;
  /** Lets go of files and handles. */
  close(): Promise<void>;
}
