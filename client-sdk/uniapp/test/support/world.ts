/** Client, store, wire and server under one virtual clock. */
import { expect } from 'vitest';
import type { StoreBatch } from '../../src/core/clientCore.js';
import { ClientCore } from '../../src/core/clientCore.js';
import type { CoreConfig } from '../../src/core/config.js';
import { TUNING } from '../../src/core/config.js';
import type { CoreEvent } from '../../src/core/event.js';
import { readRows } from '../../src/core/rows.js';
import { TimelineViewer } from '../../src/core/views.js';
import type {
  ClientMsgId,
  ConversationId,
  SendUpdate,
  Status,
  TransportEnd,
} from '../../src/index.js';
import { ClientError } from '../../src/index.js';
import { Rows } from '../../src/store/memory.js';
import { DIRECT, ModelServer } from './model.js';

export function config(more: Partial<CoreConfig> = {}): CoreConfig {
  const device = { id: 'device', class: 'phone', name: 'a phone' } as const;
  return { ...TUNING, client: 'test', device, storedMessagesMax: 50_000, ...more };
}

export class World {
  core: ClientCore;
  readonly server = new ModelServer();
  nowMs = 1_000_000;
  events: CoreEvent[] = [];
  /** What a killed program finds. */
  stored = new Rows();
  /** What a power cut leaves. */
  durable = new Rows();
  batchesDurable = 0;
  connected = false;
  reachable = true;
  /** Batches are taken from the core but not applied. */
  storeStalled = false;
  private stalled: StoreBatch | undefined;
  private toServer: Uint8Array[] = [];
  private nextId = 0;

  constructor(private readonly settings: CoreConfig = config()) {
    this.core = new ClientCore(settings, readRows([]), this.nowMs);
  }

  /** A client that has logged in and is live. */
  static live(settings?: CoreConfig): World {
    const world = new World(settings);
    world.login();
    world.run();
    expect(world.status.kind).toBe('live');
    world.events = [];
    return world;
  }

  login(): void {
    const credentials = { kind: 'password', name: 'me', password: 'secret12' } as const;
    this.core.authenticate(this.nowMs, 1, credentials);
  }

  /** Lets everything happen that can without time passing. */
  run(): void {
    this.server.nowMs = this.nowMs;
    for (let turn = 0; turn < 10_000; turn++) {
      this.settle();
      const moved = this.deliverToServer();
      if (!this.deliverToClient() && !moved) {
        return;
      }
    }
    throw new Error('the client never rests');
  }

  /** Lets `ms` pass, with every timer on the way. */
  pass(ms: number): void {
    const until = this.nowMs + ms;
    this.run();
    for (let turn = 0; turn < 100_000; turn++) {
      const at = this.core.pollTimeout(this.nowMs);
      if (at === undefined || at > until) {
        this.nowMs = until;
        return this.run();
      }
      this.nowMs = Math.max(this.nowMs, at);
      this.core.handleTimeout(this.nowMs);
      this.run();
    }
    throw new Error('the client never waits');
  }

  /** Moves frames once; false when there were none. */
  step(): boolean {
    this.server.nowMs = this.nowMs;
    this.settle();
    const moved = this.deliverToServer();
    const answered = this.deliverToClient();
    this.settle();
    return moved || answered;
  }

  /** Lets time pass up to the next timer; false when there is none. */
  skipToTimeout(): boolean {
    const at = this.core.pollTimeout(this.nowMs);
    this.nowMs = Math.max(this.nowMs, at ?? 0);
    this.core.handleTimeout(this.nowMs);
    return at !== undefined;
  }

  /** Does what the core asks for, but moves no frames. */
  settle(): void {
    for (let busy = true; busy; ) {
      busy = this.settleStore();
      const generation = this.core.pollConnect();
      if (generation !== undefined) {
        busy = true;
        this.connect(generation);
      }
      for (let frames = this.core.pollTransmit(this.nowMs); frames.length > 0; ) {
        this.toServer.push(...frames);
        frames = this.core.pollTransmit(this.nowMs);
      }
      if (this.core.pollClose()) {
        busy = true;
        this.cut();
      }
      for (let event = this.core.pollEvent(); event; event = this.core.pollEvent()) {
        this.events.push(event);
      }
    }
  }

  private settleStore(): boolean {
    let busy = false;
    while (!this.storeStalled || this.stalled === undefined) {
      const batch = this.core.pollStore();
      if (batch === undefined) {
        break;
      }
      if (this.storeStalled) {
        this.stalled = batch;
      } else {
        this.apply(batch);
        busy = true;
      }
    }
    return busy;
  }

  private connect(generation: number): void {
    if (this.reachable) {
      this.connected = true;
      this.server.accept();
      this.toServer = [];
      this.core.handleConnected(this.nowMs, generation);
    } else {
      const error = new ClientError('connect', 'unreachable');
      this.core.handleConnectFailed(this.nowMs, generation, error, 0.999);
    }
  }

  deliverToServer(): boolean {
    const frames = this.toServer.splice(0);
    if (this.connected) {
      for (const frame of frames) {
        this.server.receive(frame);
      }
    }
    return frames.length > 0;
  }

  deliverToClient(): boolean {
    const frames = this.server.outgoing.splice(0);
    if (!this.connected) {
      return false;
    }
    for (const frame of frames) {
      this.core.handleFrame(this.nowMs, frame);
    }
    return frames.length > 0;
  }

  /** The connection breaks, with all that is on its way. */
  cut(end?: TransportEnd): void {
    this.connected = false;
    this.toServer = [];
    this.server.outgoing = [];
    this.core.handleClosed(this.nowMs, 0.5, end);
  }

  private apply(batch: StoreBatch): void {
    this.stored.apply(batch.changes);
    if (batch.durable) {
      this.batchesDurable++;
      this.durable = copy(this.stored);
    }
    this.core.handleStored(this.nowMs, batch.ticket);
  }

  unstallStore(): void {
    this.storeStalled = false;
    const batch = this.stalled;
    this.stalled = undefined;
    if (batch !== undefined) {
      this.apply(batch);
    }
    this.run();
  }

  /** The program dies and starts again; after a power cut with less. */
  restart(powerCut: boolean): void {
    this.stored = copy(powerCut ? this.durable : this.stored);
    this.durable = copy(this.stored);
    this.stalled = undefined;
    this.connected = false;
    this.toServer = [];
    this.server.outgoing = [];
    this.core = new ClientCore(this.settings, readRows(this.stored.all()), this.nowMs);
    this.core.start(this.nowMs);
  }

  send(id: ConversationId, text: string): ClientMsgId {
    this.nextId++;
    const clientMsgId = this.nextId.toString(16).padStart(32, '0');
    const body = { kind: 'text', text } as const;
    this.core.send(this.nowMs, { clientMsgId, conversation: id, body, level: 'durable' });
    return clientMsgId;
  }

  /** Asks for any request and lets it be answered; `undefined`: no answer yet. */
  reply(token: number): Uint8Array | ClientError | undefined {
    const event = this.events.find((it) => it.kind === 'reply' && it.token === token);
    return event?.kind === 'reply' ? event.result : undefined;
  }

  get status(): Status {
    return this.core.state.status;
  }

  /** What became of a message, oldest first. */
  updates(id: ClientMsgId): SendUpdate[] {
    return this.events.flatMap((event) =>
      event.kind === 'send' && event.clientMsgId === id ? [event.update] : [],
    );
  }

  statuses(): Status['kind'][] {
    return this.events.flatMap((event) => (event.kind === 'status' ? [event.status.kind] : []));
  }

  /** The texts that events told of, in order. */
  heard(): string[] {
    return this.events.flatMap((event) =>
      event.kind === 'message' && event.message.body.kind === 'text'
        ? [event.message.body.text]
        : [],
    );
  }

  view(id: ConversationId = DIRECT) {
    return new TimelineViewer(id).view(this.core.state);
  }

  /** The texts that the server has stored, in order. */
  texts(id: ConversationId = DIRECT): string[] {
    return this.view(id).items.flatMap(({ message, body }) =>
      message !== undefined && body.kind === 'text' ? [body.text] : [],
    );
  }

  /** Own messages that the server does not have yet. */
  pending(id: ConversationId = DIRECT) {
    return this.view(id).items.filter(({ message }) => message === undefined);
  }

  unread(id: ConversationId = DIRECT): number {
    return this.core.conversation(id)?.unread ?? 0;
  }
}

function copy(rows: Rows): Rows {
  const copied = new Rows();
  copied.apply(rows.all().map((row) => ({ kind: 'put', row })));
  return copied;
}
