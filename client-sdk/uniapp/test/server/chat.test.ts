import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/index.js';
import { ClientError, ErrorCode } from '../../src/index.js';
import { client, PASSWORD, registered, texts, until } from '../support/clients.js';
import { Server } from '../support/server.js';

let server: Server;
let alice: Client;
let bob: Client;

beforeAll(async () => {
  server = await Server.start();
  alice = await registered(server, 'alice');
  bob = await registered(server, 'bob');
});

afterAll(async () => {
  await alice.shutdown();
  await bob.shutdown();
  await server.stop();
});

test('two people write to each other', async () => {
  const found = await alice.findUser('bob');
  const id = alice.direct(found.user);
  const hers = alice.openTimeline(id);
  const his = bob.openTimeline(id);
  const sent = await hers.sendText('你好 👋🏽');
  const message = await sent.saved();
  expect(message.seq).toBe(1);
  await until(his.view, (view) => view.items.length === 1);
  await his.sendText('hello');
  await until(hers.view, (view) => view.items.length === 2);
  expect(texts(hers.view.value)).toEqual(['你好 👋🏽', 'hello']);
  expect(texts(his.view.value)).toEqual(['你好 👋🏽', 'hello']);
  expect(alice.conversation(id)?.unread).toBe(1);
  hers.markRead();
  expect(alice.conversation(id)?.unread).toBe(0);
  his.markRead();
  await until(sent.state, (state) => state.kind === 'read');
  await until(alice.conversations, ([first]) => first?.title === 'bob');
  hers.close();
  his.close();
});

test('a wrong password is refused and asked for again', async () => {
  const other = await client(server);
  const refused = await other.login('alice', 'wrong password').catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ClientError);
  expect((refused as ClientError).is(ErrorCode.BadCredentials)).toBe(true);
  expect(other.status.value.kind).toBe('authRequired');
  await other.login('alice', PASSWORD);
  await other.waitLive();
  const devices = await alice.devices();
  expect(devices.length).toBe(2);
  await alice.revokeDevice(other.deviceId);
  await until(other.status, (status) => status.kind === 'signedOut');
  expect(other.status.value).toMatchObject({ reason: { kind: 'signedOut' } });
  await other.shutdown();
});
