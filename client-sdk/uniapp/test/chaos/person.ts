/** One account on one TypeScript client that is cut off, killed and restarted. */
import type { Client, ClientEvents, ConversationId, LocalStore, Message } from '../../src/index.js';
import { createClient, memoryStore } from '../../src/index.js';
import { nodeTransport, PASSWORD } from '../support/clients.js';
import { FlakyLink } from '../support/flakyLink.js';
import type { Random } from '../support/random.js';

/** What happened to whom, for the summary. */
export type Counts = Record<string, number>;

/** What the events of one run of the program told. */
export interface Told {
  readonly messages: Message[];
  readonly skipped: ClientEvents['messagesSkipped'][];
}

export class Person {
  readonly proxy: FlakyLink;
  /** The texts that were taken into the outbox. */
  readonly sent: { readonly conversation: ConversationId; readonly text: string }[] = [];
  client: Client;
  /** What events told, run by run. */
  readonly told: Told[] = [];
  private readonly store = memoryStore();
  private sever: () => void = () => {};
  private counter = 0;
  private life = 0;

  private constructor(
    readonly name: string,
    proxy: FlakyLink,
    private readonly random: Random,
    client: Client | undefined,
  ) {
    this.proxy = proxy;
    this.client = client as Client;
  }

  static async create(name: string, port: number, random: Random): Promise<Person> {
    const person = new Person(name, await FlakyLink.start(port), random, undefined);
    await person.boot();
    await person.client.register(name, PASSWORD);
    await person.client.waitLive();
    return person;
  }

  /** A message to one of its conversations; whether it is kept is awaited. */
  async say(conversations: readonly ConversationId[]): Promise<void> {
    this.counter++;
    const conversation = this.random.pick(conversations);
    const text = `${this.name}-${this.counter} 🪿`;
    const level = this.random.pick(['durable', 'written'] as const);
    const { life } = this;
    try {
      await this.client.sendText(conversation, text, { level });
    } catch (error) {
      if (life !== this.life) {
        // Killed before it was kept: nobody was told that it would be sent.
        return;
      }
      throw error;
    }
    this.sent.push({ conversation, text });
  }

  /** Reads up to some message. */
  read(conversations: readonly ConversationId[]): void {
    const conversation = this.random.pick(conversations);
    const last = this.client.conversation(conversation)?.lastSeq ?? 0;
    this.client.markRead(conversation, last - this.random.below(5));
  }

  /** The phone goes into a pocket: the network is cut, then it comes back. */
  async background(ms: number): Promise<void> {
    const { client } = this;
    client.onHide();
    this.proxy.closed = true;
    this.proxy.drop();
    await sleep(ms);
    this.proxy.heal();
    if (client === this.client) {
      client.onShow();
    }
  }

  /** The program dies at once and starts again with what its store has. */
  async kill(): Promise<void> {
    const { client } = this;
    this.life++;
    this.sever();
    this.proxy.drop();
    await this.boot();
    await client.shutdown();
  }

  async stop(): Promise<void> {
    await this.client.shutdown();
    await this.proxy.stop();
  }

  private async boot(): Promise<void> {
    let alive = true;
    this.sever = () => {
      alive = false;
    };
    const store: LocalStore = {
      load: () => this.store.load(),
      apply: async (changes, durable) => {
        if (!alive) {
          throw new Error('killed');
        }
        await this.store.apply(changes, durable);
      },
      close: async () => {},
    };
    const transport = nodeTransport();
    const client = await createClient({
      url: `ws://127.0.0.1:${this.proxy.port}/ws`,
      transport: { open: (url, handler) => transport.open(url, handler) },
      store,
      tuning: { backoffMaxMs: 1_000, timelineWindowOpen: 100_000 },
    });
    this.client = client;
    const told: Told = { messages: [], skipped: [] };
    this.told.push(told);
    // What a dead program still hears counts for nothing.
    client.on('message', (message) => alive && told.messages.push(message));
    client.on('messagesSkipped', (skipped) => alive && told.skipped.push(skipped));
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => {
    setTimeout(done, ms);
  });
}
