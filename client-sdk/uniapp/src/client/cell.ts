/** {@link Cell}: a watched value that is computed when somebody looks. */
import type { Unsubscribe, Watch } from '../watch.js';

/** A value, computed anew after `invalidate` when it is looked at. */
export class Cell<T> implements Watch<T> {
  private current: T;
  private dirty = false;
  /** Who listens, and what each was told last. */
  private readonly listeners = new Map<(value: T) => void, T>();

  constructor(private readonly compute: () => T) {
    this.current = compute();
  }

  get value(): T {
    if (this.dirty) {
      this.dirty = false;
      this.current = this.compute();
    }
    return this.current;
  }

  /** What the value is made of changed. */
  invalidate(): void {
    this.dirty = true;
  }

  /** Tells those listeners who know an older value. */
  notify(): void {
    const { value } = this;
    for (const [listener, told] of [...this.listeners]) {
      if (told !== value && this.listeners.has(listener)) {
        this.listeners.set(listener, value);
        callListener(listener, value);
      }
    }
  }

  subscribe(listener: (value: T) => void): Unsubscribe {
    // Wrapped, so that one function can listen twice.
    const entry = (value: T) => listener(value);
    const { value } = this;
    this.listeners.set(entry, value);
    callListener(entry, value);
    return () => {
      this.listeners.delete(entry);
    };
  }

  get watched(): boolean {
    return this.listeners.size > 0;
  }
}

/** A listener that throws must not keep the others, or the client, from going on. */
export function callListener<T>(listener: (value: T) => void, value: T): void {
  try {
    listener(value);
  } catch (error) {
    setTimeout(() => {
      throw error;
    }, 0);
  }
}
