/** Listeners by the name of the event. */
import type { ClientEvents } from '../model/events.js';
import type { Unsubscribe } from '../watch.js';
import { callListener } from './cell.js';

type Listener = (value: never) => void;

/** Tells each event to those who listen to it, in the order they came. */
export class Emitter {
  private readonly listeners = new Map<keyof ClientEvents, Set<Listener>>();

  on<K extends keyof ClientEvents>(
    event: K,
    listener: (value: ClientEvents[K]) => void,
  ): Unsubscribe {
    const listeners = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, listeners);
    const entry: Listener = (value) => listener(value);
    listeners.add(entry);
    return () => {
      listeners.delete(entry);
    };
  }

  /** Whether anybody listens to an event. */
  has(event: keyof ClientEvents): boolean {
    return (this.listeners.get(event)?.size ?? 0) > 0;
  }

  emit<K extends keyof ClientEvents>(event: K, value: ClientEvents[K]): void {
    for (const listener of [...(this.listeners.get(event) ?? [])]) {
      callListener(listener as (value: ClientEvents[K]) => void, value);
    }
  }
}
