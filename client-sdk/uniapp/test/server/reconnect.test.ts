/** Losing the server and coming back, with a real one. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/index.js';
import { memoryStore } from '../../src/index.js';
import { client, PASSWORD, registered, texts, until } from '../support/clients.js';
import { Server } from '../support/server.js';

let server: Server;
let alice: Client;
let bob: Client;

beforeAll(async () => {
  server = await Server.start({
    HONGYAN_AUTH__ACCESS_TOKEN_SECONDS: '60',
    HONGYAN_SESSION__HEARTBEAT_MS: '2000',
  });
  alice = await registered(server, 'alice', { tuning: { backoffMaxMs: 300 } });
  bob = await registered(server, 'bob', { tuning: { backoffMaxMs: 300 } });
});

afterAll(async () => {
  await alice.shutdown();
  await bob.shutdown();
  await server.stop();
});

test('a server that is killed and restarted loses and doubles nothing', async () => {
  const id = alice.direct((await alice.findUser('bob')).user);
  const hers = alice.openTimeline(id);
  const his = bob.openTimeline(id);
  const wanted: string[] = [];
  for (let round = 0; round < 3; round++) {
    for (let number = 0; number < 30; number++) {
      wanted.push(`${round}/${number}`);
      await hers.sendText(`${round}/${number}`);
    }
    await server.kill();
    await until(alice.status, (status) => status.kind === 'waitingToReconnect');
    wanted.push(`off line ${round}`);
    const offline = await hers.sendText(`off line ${round}`);
    expect(offline.state.value.kind).toBe('sending');
    await server.boot();
    await offline.saved();
  }
  await until(his.view, (view) => view.items.length >= wanted.length);
  expect(texts(his.view.value)).toEqual(wanted);
  expect(texts(hers.view.value)).toEqual(wanted);
  expect(bob.conversation(id)?.unread).toBe(wanted.length);
  hers.close();
  his.close();
});

test('a client that starts again resumes with what its store holds', async () => {
  const store = memoryStore();
  const first = await client(server, { store });
  await first.login('alice', PASSWORD);
  await first.waitLive();
  const id = first.direct((await first.findUser('bob')).user);
  const before = first.conversation(id);
  const { deviceId } = first;
  await first.shutdown();
  await (await bob.sendText(id, 'while you were away')).saved();
  const second = await client(server, { store });
  expect(second.deviceId).toBe(deviceId);
  // Before any connection: what was held.
  expect(second.conversation(id)?.lastSeq).toBe(before?.lastSeq);
  await second.waitLive();
  expect(second.conversation(id)?.lastSeq).toBe((before?.lastSeq ?? 0) + 1);
  expect(second.conversation(id)?.lastMessage?.body).toEqual({
    kind: 'text',
    text: 'while you were away',
  });
  await second.logout();
  expect(second.status.value).toMatchObject({ kind: 'signedOut', reason: { kind: 'logout' } });
  await second.shutdown();
});

test('what was written without a connection goes out after a restart', async () => {
  const store = memoryStore();
  const first = await client(server, { store });
  await first.login('bob', PASSWORD);
  await first.waitLive();
  const id = first.direct((await first.findUser('alice')).user);
  first.disconnect();
  const sent = await first.sendText(id, 'kept in the outbox 🪿');
  await first.shutdown();
  const timeline = alice.openTimeline(id);
  const second = await client(server, { store });
  const view = await until(timeline.view, ({ items }) =>
    items.some(({ clientMsgId }) => clientMsgId === sent.clientMsgId),
  );
  expect(view.items.at(-1)?.body).toEqual({ kind: 'text', text: 'kept in the outbox 🪿' });
  timeline.close();
  await second.logout();
  await second.shutdown();
});

test('an access token that has expired is refreshed without a word', async () => {
  const store = memoryStore();
  const first = await client(server, { store });
  await first.login('bob', PASSWORD);
  await first.waitLive();
  await first.shutdown();
  // The access token ends; the refresh token stays.
  const rows = await store.load();
  const row = rows.find(({ section, key }) => section === 'meta' && key === 'tokens');
  const tokens = JSON.parse(row?.value ?? '{}');
  const expired = { ...tokens, accessToken: `${tokens.accessToken.slice(0, -8)}AAAAAAAA` };
  await store.apply(
    [{ kind: 'put', row: { section: 'meta', key: 'tokens', value: JSON.stringify(expired) } }],
    true,
  );
  const second = await client(server, { store });
  await second.waitLive();
  const kept = (await store.load()).find(({ key }) => key === 'tokens');
  expect(JSON.parse(kept?.value ?? '{}').refreshToken).not.toBe(tokens.refreshToken);
  await second.shutdown();
  // Known to have expired: not tried at all.
  const late = { ...JSON.parse(kept?.value ?? '{}'), accessExpiresMs: 1 };
  await store.apply(
    [{ kind: 'put', row: { section: 'meta', key: 'tokens', value: JSON.stringify(late) } }],
    true,
  );
  const third = await client(server, { store });
  await third.waitLive();
  await third.logout();
  await third.shutdown();
});

test('the same device elsewhere replaces, and the place can be taken back', async () => {
  const store = memoryStore();
  const first = await client(server, { store });
  await first.login('bob', PASSWORD);
  await first.waitLive();
  const second = await client(server, { store });
  await until(first.status, (status) => status.kind === 'signedOut');
  expect(first.status.value).toMatchObject({ reason: { kind: 'replaced' } });
  await second.waitLive();
  await first.resume();
  await until(second.status, (status) => status.kind === 'signedOut');
  await first.logout();
  await first.shutdown();
  await second.shutdown();
});
