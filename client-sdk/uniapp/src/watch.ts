/** A value that can be looked at and listened to. */

/** Ends a subscription; calling it again does nothing. */
export type Unsubscribe = () => void;

/**
 * A value that holds the newest look. A listener is told the value at once and
 * whenever it changed, at most once per turn of the program: it may skip looks
 * and misses nothing. It is also a Svelte store and fits Vue's `shallowRef`.
 */
export interface Watch<T> {
  /** The value now; a snapshot that does not change by itself. */
  readonly value: T;
  /** Calls `listener` at once with the value, and again after each change. */
  subscribe(listener: (value: T) => void): Unsubscribe;
}
