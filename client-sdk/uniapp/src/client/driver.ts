/**
 * {@link Driver}: does what the core asks for, with a real clock, socket and
 * store. One turn runs until the core wants nothing more.
 */
import { ClientCore } from '../core/clientCore.js';
import type { CoreConfig } from '../core/config.js';
import type { CoreEvent } from '../core/event.js';
import type { StoredState } from '../core/rows.js';
import { ClientError } from '../error.js';
import type { LocalStore } from '../store/store.js';
import type { Transport, TransportConnection, TransportEnd } from '../transport/transport.js';

/** What a driver drives, and whom it tells. */
export interface DriverParts {
  readonly config: CoreConfig;
  readonly stored: StoredState;
  readonly url: string;
  readonly transport: Transport;
  readonly store: LocalStore;
  readonly onEvent: (event: CoreEvent) => void;
  /** A turn is over: what is shown may be looked at. */
  readonly onTurn: () => void;
}

interface Waiter {
  resolve(payload: never): void;
  reject(error: ClientError): void;
}

/** Runs a core. */
export class Driver {
  readonly core: ClientCore;
  private connection: TransportConnection | undefined;
  private connectionNumber = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running = false;
  private again = false;
  private closed = false;
  private lastNowMs = 0;
  private clockAheadMs = 0;
  private lastToken = 0;
  private readonly waiters = new Map<number, Waiter>();
  /** The batch that is being applied, if any. */
  private storing: Promise<void> = Promise.resolve();

  constructor(private readonly parts: DriverParts) {
    this.core = new ClientCore(parts.config, parts.stored, this.now());
  }

  /** A clock that does not go back, and goes on when the device's is set back. */
  now(): number {
    const wall = Date.now();
    this.clockAheadMs = Math.max(this.clockAheadMs, this.lastNowMs - wall);
    this.lastNowMs = wall + this.clockAheadMs;
    return this.lastNowMs;
  }

  /**
   * Runs a command on the core, then what follows from it.
   * @throws ClientError as the command, or `closed`.
   */
  run<T>(command: (core: ClientCore, nowMs: number) => T): T {
    if (this.closed) {
      throw closedError();
    }
    try {
      return command(this.core, this.now());
    } finally {
      this.turn();
    }
  }

  /** Runs a command whose result comes as a reply to the token. */
  ask<T>(command: (core: ClientCore, nowMs: number, token: number) => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.lastToken++;
      const token = this.lastToken;
      this.waiters.set(token, { resolve: resolve as Waiter['resolve'], reject });
      try {
        this.run((core, nowMs) => command(core, nowMs, token));
      } catch (error) {
        this.waiters.delete(token);
        reject(error);
      }
    });
  }

  /** Stops for good, once the store is written. */
  async shutdown(): Promise<void> {
    if (this.closed) {
      return;
    }
    this.run((core, nowMs) => core.stop(nowMs));
    await this.settled();
    this.closed = true;
    this.clearTimer();
    this.waiters.forEach((waiter) => {
      waiter.reject(closedError());
    });
    this.waiters.clear();
    await this.parts.store.close();
  }

  /** Resolves when the store has all that it was given. */
  private async settled(): Promise<void> {
    for (let before: unknown; before !== this.storing; ) {
      before = this.storing;
      await this.storing;
    }
  }

  /** Does what the core asks for until it wants nothing more. */
  private turn(): void {
    if (this.running) {
      this.again = true;
      return;
    }
    this.running = true;
    try {
      do {
        this.again = false;
        this.pollAll();
      } while (this.again);
    } finally {
      this.running = false;
    }
    this.setTimer();
    this.parts.onTurn();
  }

  private pollAll(): void {
    const batch = this.core.pollStore();
    if (batch !== undefined) {
      this.storing = this.apply(batch);
    }
    const generation = this.core.pollConnect();
    if (generation !== undefined) {
      this.connect(generation);
    }
    this.transmit();
    if (this.core.pollClose()) {
      this.again = true;
      this.close();
    }
    for (let event = this.core.pollEvent(); event !== undefined; event = this.core.pollEvent()) {
      this.tell(event);
    }
  }

  private async apply(batch: NonNullable<ReturnType<ClientCore['pollStore']>>): Promise<void> {
    let failure: string | undefined;
    try {
      await this.parts.store.apply(batch.changes, batch.durable);
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    if (!this.closed) {
      this.core.handleStored(this.now(), batch.ticket, failure);
      this.turn();
    }
  }

  private transmit(): void {
    for (;;) {
      const buffered = this.connection?.bufferedBytes() ?? 0;
      const frames = this.core.pollTransmit(this.now(), buffered);
      if (frames.length === 0) {
        return;
      }
      for (const frame of frames) {
        this.connection?.send(frame);
      }
    }
  }

  private connect(generation: number): void {
    this.connectionNumber++;
    const number = this.connectionNumber;
    const current = () => number === this.connectionNumber && !this.closed;
    let opened = false;
    this.connection = this.parts.transport.open(this.parts.url, {
      onOpen: () => {
        opened = true;
        if (current()) {
          this.core.handleConnected(this.now(), generation);
          this.turn();
        }
      },
      onFrame: (frame) => {
        if (current()) {
          this.core.handleFrame(this.now(), frame);
          this.turn();
        }
      },
      onEnd: (end) => {
        if (current()) {
          this.onEnd(generation, opened, end);
        }
      },
    });
  }

  private onEnd(generation: number, opened: boolean, end: TransportEnd): void {
    this.connection = undefined;
    this.connectionNumber++;
    if (opened) {
      this.core.handleClosed(this.now(), Math.random(), end);
    } else {
      const error = new ClientError('connect', `cannot connect: ${end.reason}`);
      this.core.handleConnectFailed(this.now(), generation, error, Math.random());
    }
    this.turn();
  }

  /** Drops the connection; what it still tells is not heard. */
  private close(): void {
    const { connection } = this;
    this.connection = undefined;
    this.connectionNumber++;
    connection?.close();
    this.core.handleClosed(this.now(), Math.random());
  }

  private tell(event: CoreEvent): void {
    if (event.kind === 'reply') {
      const waiter = this.takeWaiter(event.token);
      if (event.result instanceof ClientError) {
        waiter?.reject(event.result);
      } else {
        waiter?.resolve(event.result as never);
      }
    } else if (event.kind === 'watching') {
      this.takeWaiter(event.token)?.resolve(event.people as never);
    } else {
      this.parts.onEvent(event);
    }
  }

  private takeWaiter(token: number): Waiter | undefined {
    const waiter = this.waiters.get(token);
    this.waiters.delete(token);
    return waiter;
  }

  private setTimer(): void {
    this.clearTimer();
    const at = this.core.pollTimeout(this.now());
    if (at === undefined || this.closed) {
      return;
    }
    const delay = Math.min(Math.max(at - this.now(), 0), DELAY_MAX_MS);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.core.handleTimeout(this.now());
      this.turn();
    }, delay);
  }

  private clearTimer(): void {
    if (this.timer !== undefined) {
      clearTimeout(this.timer);
      this.timer = undefined;
    }
  }
}

function closedError(): ClientError {
  return new ClientError('closed', 'the client is closed');
}

/** Timers do not take more; a timer that fires early is set again. */
const DELAY_MAX_MS = 0x7fffffff;
