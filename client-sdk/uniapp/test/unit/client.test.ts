/** The client that an app holds, on a server in memory. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { effectScope, nextTick } from 'vue';
import pkg from '../../package.json' with { type: 'json' };
import type { Client, ClientOptions, LocalStore, Status } from '../../src/index.js';
import {
  ClientError,
  createClient,
  ErrorCode,
  memoryStore,
  Opcode,
  VERSION,
} from '../../src/index.js';
import { useConversations, useEvent, useStatus, useTimeline } from '../../src/vue.js';
import { DIRECT, ModelServer, PEER, wireError } from '../support/model.js';
import { ModelTransport } from '../support/modelTransport.js';

let server: ModelServer;
let transport: ModelTransport;

beforeEach(() => {
  vi.useFakeTimers();
  server = new ModelServer();
  transport = new ModelTransport(server);
});
afterEach(() => {
  vi.useRealTimers();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

async function made(options: Partial<ClientOptions> = {}): Promise<Client> {
  return createClient({ url: 'ws://model', transport, ...options });
}

async function live(options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = await made(options);
  const account = client.login('me', 'secret12');
  await pass(100);
  expect(await account).toMatchObject({ user: '4097', name: 'me' });
  expect(client.status.value.kind).toBe('live');
  return client;
}

/** The peer says something, and the client hears it. */
async function hear(text: string): Promise<void> {
  server.say(DIRECT, PEER, text, true);
  transport.flush();
  await pass(50);
}

test('the version is that of the package', () => {
  expect(VERSION).toBe(pkg.version);
});

test('watched values tell at once, then changes, and hold the newest without listeners', async () => {
  const client = await live();
  const told: number[] = [];
  const stop = client.conversations.subscribe((list) => told.push(list.length));
  expect(told).toEqual([0]);
  await hear('one');
  expect(told).toEqual([0, 1]);
  expect(client.totalUnread.value).toBe(1);
  stop();
  stop();
  await hear('two');
  expect(told).toEqual([0, 1]);
  expect(client.conversations.value[0]).toMatchObject({ unread: 2, title: 'User 8194' });
});

test('a burst is told a few times, not once for each message', async () => {
  const client = await live();
  const timeline = client.openTimeline(DIRECT);
  let told = 0;
  timeline.view.subscribe(() => told++);
  for (let number = 0; number < 500; number++) {
    server.say(DIRECT, PEER, String(number), true);
  }
  transport.flush();
  await pass(100);
  expect(timeline.view.value.items.length).toBe(500);
  expect(told).toBeLessThan(10);
});

test('items that did not change stay the same objects', async () => {
  const client = await live();
  const timeline = client.openTimeline(DIRECT);
  await hear('one');
  const [before] = timeline.view.value.items;
  const sent = timeline.sendText('mine');
  await pass(50);
  await sent;
  const [after, own] = timeline.view.value.items;
  expect(after).toBe(before);
  expect(own).toMatchObject({ own: true, state: { kind: 'saved' }, key: (await sent).clientMsgId });
});

test('a listener that throws keeps nobody from hearing', async () => {
  const client = await live();
  const heard: string[] = [];
  client.on('message', () => {
    throw new Error('a bug of the app');
  });
  client.on('message', ({ seq }) => heard.push(`seq ${seq}`));
  server.say(DIRECT, PEER, 'one', true);
  transport.flush();
  await expect(pass(50)).rejects.toThrow('a bug of the app');
  expect(heard).toEqual(['seq 1']);
});

test('a handle tells how far a message got', async () => {
  const client = await live();
  server.refusals.push({ opcode: Opcode.Send, error: wireError(ErrorCode.InvalidBody, 0) });
  const failing = client.sendText(DIRECT, 'bad');
  await pass(50);
  const handle = await failing;
  const saved = handle.saved().catch((error: unknown) => error);
  expect(handle.state.value).toMatchObject({ kind: 'failed' });
  expect(await saved).toMatchObject({ code: ErrorCode.InvalidBody });
  const again = client.retry(handle.clientMsgId);
  await pass(50);
  expect((await again).state.value.kind).toBe('saved');
  const message = await (await again).saved();
  expect(message).toMatchObject({ seq: 1, sender: '4097', body: { text: 'bad' } });
  server.peerMoves(DIRECT, 1, 1);
  transport.flush();
  await pass(50);
  expect((await again).state.value).toEqual({ kind: 'read', by: 1 });
  await expect(client.retry(handle.clientMsgId)).rejects.toMatchObject({ kind: 'invalid' });
  await expect(client.discard('00')).rejects.toMatchObject({ kind: 'invalid' });
});

test('an id of the app’s own is taken once', async () => {
  const client = await live();
  server.silent.add(Opcode.Send);
  const options = { clientMsgId: 'ab'.repeat(16) };
  await client.sendText(DIRECT, 'one', options);
  await expect(client.sendText(DIRECT, 'two', options)).rejects.toMatchObject({ kind: 'invalid' });
  const odd = client.sendText(DIRECT, 'three', { clientMsgId: 'no id' });
  await expect(odd).rejects.toMatchObject({ kind: 'invalid' });
});

test('a group that was made before the connection broke is made once', async () => {
  const client = await live();
  server.silent.add(Opcode.CreateGroup);
  const group = client.createGroup('geese', [PEER]);
  await pass(50);
  transport.cut();
  server.silent.clear();
  const info = { id: '20481', name: 'geese', memberCount: 2, historyVisible: false };
  server.groups.push({ ...info, role: 1, createdMs: '1', dissolved: false, lastSeq: '0' });
  await pass(2_000);
  expect(await group).toMatchObject({ id: '20481', name: 'geese', role: 'owner' });
  expect(server.seen.filter((opcode) => opcode === Opcode.CreateGroup).length).toBe(2);
});

test('opcodes that this package does not know are a refusal, not an end', async () => {
  const client = await live();
  server.refusals.push({ opcode: 9_999, error: wireError(ErrorCode.UnknownOpcode, 0) });
  const asked = client.request(9_999, new Uint8Array(0));
  const caught = asked.catch((error: unknown) => error);
  await pass(50);
  expect(await caught).toMatchObject({ code: ErrorCode.UnknownOpcode });
  expect(client.status.value.kind).toBe('live');
});

test('one connection at a time, whatever the platform tells', async () => {
  const client = await live();
  transport.reachable = false;
  transport.cut();
  await pass(60_000);
  const before = transport.opened;
  transport.reachable = true;
  client.onShow();
  client.networkChanged();
  client.reconnectNow();
  client.onShow();
  await pass(100);
  expect(client.status.value.kind).toBe('live');
  expect(transport.opened).toBe(before + 1);
});

test('a clock that is set back stops nothing', async () => {
  const client = await live();
  vi.setSystemTime(Date.now() - 3_600_000);
  transport.cut();
  await pass(1_000);
  expect(client.status.value.kind).toBe('live');
  server.heartbeats = 0;
  await pass(60_000);
  expect(server.heartbeats).toBeGreaterThan(3);
});

test('shutdown ends what waits, and the store keeps the outbox', async () => {
  const store = memoryStore();
  const client = await live({ store });
  server.silent.add(Opcode.Send).add(Opcode.ListDevices);
  const sent = await client.sendText(DIRECT, 'later');
  const saved = sent.saved().catch((error: unknown) => error);
  const devices = client.devices().catch((error: unknown) => error);
  await client.shutdown();
  expect(await saved).toMatchObject({ kind: 'closed' });
  expect(await devices).toBeInstanceOf(ClientError);
  await expect(client.sendText(DIRECT, 'x')).rejects.toMatchObject({ kind: 'closed' });
  await client.shutdown();
  server.silent.clear();
  const next = await made({ store });
  await pass(1_000);
  expect(next.deviceId).toBe(client.deviceId);
  expect(server.conversation(DIRECT).messages.length).toBe(1);
});

test('a store that cannot be read is an error of its own', async () => {
  const store: LocalStore = {
    load: () => Promise.reject(new Error('locked')),
    apply: async () => {},
    close: async () => {},
  };
  await expect(made({ store })).rejects.toMatchObject({ kind: 'storage', message: 'locked' });
});

test('waiting is of no use without credentials', async () => {
  const client = await made();
  await expect(client.waitLive()).rejects.toMatchObject({ kind: 'offline' });
  await expect(client.resume()).rejects.toMatchObject({ kind: 'offline' });
  expect(() => client.direct(PEER)).toThrow(expect.objectContaining({ kind: 'offline' }));
});

describe('a token provider', () => {
  test('signs in at the start, and again when the tokens are refused', async () => {
    let asked = 0;
    const client = await made({ tokenProvider: async () => `token ${++asked}` });
    await pass(100);
    expect(client.status.value.kind).toBe('live');
    expect(asked).toBe(1);
    // Both tokens are refused: the session has expired.
    server.accessToken = 'another';
    server.refusals.push({ opcode: Opcode.Refresh, error: wireError(ErrorCode.TokenExpired, 0) });
    transport.cut();
    await pass(2_000);
    expect(client.status.value.kind).toBe('live');
    expect(asked).toBe(2);
    expect(server.seen.filter((opcode) => opcode === Opcode.LoginExternal).length).toBe(2);
  });

  test('that fails is asked again, later and later, and not in the background', async () => {
    let asked = 0;
    const client = await made({
      tokenProvider: async () => {
        asked++;
        if (asked < 4) {
          throw new Error('no network');
        }
        return 'token';
      },
    });
    await pass(10);
    expect(asked).toBe(1);
    client.onHide();
    await pass(100_000);
    expect(asked).toBe(1);
    client.onShow();
    await pass(100_000);
    expect(asked).toBe(4);
    expect(client.status.value.kind).toBe('live');
  });

  test('is not asked after a logout, nor when the server takes no such tokens', async () => {
    let asked = 0;
    const tokenProvider = async () => {
      asked++;
      return 'token';
    };
    const error = wireError(ErrorCode.ExternalLoginClosed, 0);
    server.refusals.push({ opcode: Opcode.LoginExternal, error });
    await made({ tokenProvider });
    await pass(200_000);
    expect(asked).toBe(1);
    const client = await made({ tokenProvider });
    await pass(100);
    const loggedOut = client.logout();
    await pass(200_000);
    await loggedOut;
    expect(asked).toBe(2);
    expect(client.status.value).toMatchObject({ kind: 'signedOut', reason: { kind: 'logout' } });
  });
});

test('the Vue layer follows the client and ends with its scope', async () => {
  const client = await live();
  const scope = effectScope();
  const heard: string[] = [];
  const used = scope.run(() => {
    useEvent(client, 'message', ({ body }) => heard.push(body.kind));
    const { timeline, view } = useTimeline(client, DIRECT);
    return { status: useStatus(client), list: useConversations(client), timeline, view };
  });
  const status = (): Status['kind'] | undefined => used?.status.value.kind;
  expect(status()).toBe('live');
  await hear('one');
  await nextTick();
  expect(used?.view.value.items.length).toBe(1);
  expect(used?.list.value.length).toBe(1);
  expect(heard).toEqual(['text']);
  scope.stop();
  await hear('two');
  expect(used?.view.value.items.length).toBe(1);
  expect(heard).toEqual(['text']);
  transport.cut();
  expect(status()).toBe('live');
  expect(client.status.value.kind).toBe('waitingToReconnect');
});
