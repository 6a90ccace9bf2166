/** An app that only listens to events and was away for long, with a real server. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client, ClientEvents, ConversationId, LocalStore, Message } from '../../src/index.js';
import { groupConversation, memoryStore } from '../../src/index.js';
import { client, PASSWORD, registered, until } from '../support/clients.js';
import { Server } from '../support/server.js';

let server: Server;
let alice: Client;
let direct: ConversationId;
let group: ConversationId;

beforeAll(async () => {
  server = await Server.start({ HONGYAN_SESSION__HEARTBEAT_MS: '2000' });
  alice = await registered(server, 'alice', { tuning: { backoffMaxMs: 300 } });
  const bob = await registered(server, 'bob');
  const carol = await registered(server, 'carol');
  const users = [bob, carol].map(({ account }) => account?.user ?? '');
  direct = alice.direct(users[0] ?? '');
  group = groupConversation((await alice.createGroup('geese', users)).id);
  await Promise.all([bob, carol].map((it) => it.shutdown()));
});

afterAll(async () => {
  await alice.shutdown();
  await server.stop();
});

/** Alice says so much; resolves with the texts, in order, when all are stored. */
async function say(id: ConversationId, count: number, what: string): Promise<string[]> {
  const texts = Array.from({ length: count }, (_, number) => `${what} ${number}`);
  const sends = await Promise.all(texts.map((text) => alice.sendText(id, text)));
  await Promise.all(sends.map((sent) => sent.saved()));
  return texts;
}

/** A client that was in both conversations and went off line, and its store. */
async function away(name: string): Promise<LocalStore> {
  const store = memoryStore();
  const before = await client(server, { store });
  await before.login(name, PASSWORD);
  await before.waitLive();
  await before.shutdown();
  return store;
}

class Listener {
  readonly messages: Message[] = [];
  readonly skipped: ClientEvents['messagesSkipped'][] = [];
  private waiting: (() => void)[] = [];

  constructor(it: Client) {
    it.on('message', (message) => {
      this.messages.push(message);
      for (const look of [...this.waiting]) {
        look();
      }
    });
    it.on('messagesSkipped', (skipped) => this.skipped.push(skipped));
  }

  /** The texts told of a conversation, in the order they were told. */
  texts(id: ConversationId): string[] {
    return this.messages.flatMap(({ conversation, body }) =>
      conversation === id && body.kind === 'text' ? [body.text] : [],
    );
  }

  /** Resolves in the very event that makes it so. */
  until(wanted: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (wanted()) {
          this.waiting = this.waiting.filter((it) => it !== look);
          resolve();
        }
      };
      this.waiting.push(look);
      look();
    });
  }
}

test('what was missed is told whole and in order, over a kill of the server', async () => {
  await (await alice.sendText(direct, 'before')).saved();
  const store = await away('bob');
  const wantedDirect = await say(direct, 350, 'direct');
  const wantedGroup = await say(group, 1_300, 'group');
  const bob = await client(server, { store, tuning: { backoffMaxMs: 300 } });
  const heard = new Listener(bob);
  await heard.until(() => heard.texts(group).length >= 300);
  await server.kill();
  const early = heard.texts(group).length;
  expect(early).toBeLessThan(1_000);
  await server.boot();
  await alice.waitLive().catch(() => until(alice.status, ({ kind }) => kind === 'live'));
  // It goes on while more is said.
  const more = await say(group, 20, 'more');
  const total = 350 + 1_320;
  await heard.until(() => heard.texts(group).length + heard.texts(direct).length >= total);
  expect(heard.texts(direct)).toEqual(wantedDirect);
  expect(heard.texts(group)).toEqual([...wantedGroup, ...more]);
  expect(heard.skipped).toEqual([]);
  const last = bob.conversation(group)?.lastSeq;
  // Marked as delivered only when all was told.
  const sent = alice.openTimeline(direct);
  await until(sent.view, ({ items }) => items.at(-1)?.state?.kind === 'delivered');
  sent.close();
  await bob.shutdown();
  // Nothing is told again by the next run.
  const again = await client(server, { store });
  const quiet = new Listener(again);
  await again.waitLive();
  await say(group, 1, 'the last');
  await quiet.until(() => quiet.messages.length > 0);
  expect(quiet.messages.map(({ seq }) => seq)).toEqual([(last ?? 0) + 1]);
  await again.logout();
  await again.shutdown();
});

test('an app killed on the way goes on where it was', async () => {
  const store = await away('carol');
  const wanted = await say(group, 1_100, 'round two');
  const first = await client(server, { store });
  const before = new Listener(first);
  await before.until(() => before.texts(group).length >= 300);
  await first.shutdown();
  const second = await client(server, { store });
  const after = new Listener(second);
  const all = () => [...before.texts(group), ...after.texts(group)];
  await after.until(() => all().at(-1) === wanted.at(-1));
  expect(after.texts(group).length).toBeGreaterThan(0);
  expect(all()).toEqual(wanted);
  await second.logout();
  await second.shutdown();
});

test('what lies too far back is said to be skipped', async () => {
  const store = await away('carol');
  const from = (alice.conversation(group)?.lastSeq ?? 0) + 1;
  const wanted = await say(group, 700, 'far back');
  const carol = await client(server, { store, tuning: { missedMax: 150 } });
  const heard = new Listener(carol);
  await heard.until(() => heard.texts(group).at(-1) === wanted.at(-1));
  expect(heard.skipped.length).toBe(1);
  const [skipped] = heard.skipped;
  expect(skipped).toMatchObject({ conversation: group, fromSeq: from });
  const told = heard.messages.map(({ seq }) => seq);
  expect(told[0]).toBe((skipped?.toSeq ?? 0) + 1);
  expect(heard.texts(group)).toEqual(wanted.slice(-told.length));
  await carol.logout();
  await carol.shutdown();
});
