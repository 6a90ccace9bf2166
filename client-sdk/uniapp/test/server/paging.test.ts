/** Long histories, groups, presence and people, with a real server. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Client } from '../../src/index.js';
import { ClientError, ErrorCode, groupConversation, Opcode } from '../../src/index.js';
import { Devices, ListDevices } from '../../src/pb.js';
import { client, PASSWORD, registered, texts, until } from '../support/clients.js';
import { Server } from '../support/server.js';

let server: Server;
let alice: Client;
let bob: Client;
let carol: Client;

beforeAll(async () => {
  server = await Server.start();
  alice = await registered(server, 'alice');
  bob = await registered(server, 'bob');
  carol = await registered(server, 'carol');
});

afterAll(async () => {
  await Promise.all([alice, bob, carol].map((it) => it.shutdown()));
  await server.stop();
});

test('2,000 messages are paged in from a device that is new', async () => {
  const id = alice.direct((await alice.findUser('bob')).user);
  const wanted = Array.from({ length: 2_000 }, (_, number) => `message ${number}`);
  const sends = await Promise.all(wanted.map((text) => alice.sendText(id, text)));
  await sends.at(-1)?.saved();
  const fresh = await client(server);
  await fresh.login('bob', PASSWORD);
  await fresh.waitLive();
  const timeline = fresh.openTimeline(id);
  while (timeline.view.value.hasOlder) {
    expect(await timeline.loadOlder(500)).toBeGreaterThan(0);
  }
  expect(texts(timeline.view.value)).toEqual(wanted);
  expect(await timeline.loadOlder()).toBe(0);
  expect(fresh.conversation(id)?.unread).toBe(2_000);
  expect(fresh.totalUnread.value).toBe(2_000);
  timeline.markRead();
  expect(fresh.totalUnread.value).toBe(0);
  await until(bob.conversations, ([first]) => first?.unread === 0);
  const page = await fresh.history(id, 1, 0, 3, true);
  expect(page.messages.map(({ seq }) => seq)).toEqual([1_998, 1_999, 2_000]);
  expect(page.more).toBe(true);
  await fresh.logout();
  await fresh.shutdown();
});

test('a group of three, with roles, receipts and its end', async () => {
  const [bobId, carolId] = [
    (await alice.findUser('bob')).user,
    (await alice.findUser('carol')).user,
  ];
  const made = await alice.createGroup('geese', [bobId], { historyVisible: true });
  const id = groupConversation(made.id);
  expect(alice.conversation(id)?.title).toBe('geese');
  const timeline = alice.openTimeline(id);
  await until(bob.conversations, (list) => list.some((it) => it.id === id));
  await alice.inviteMembers(made.id, [carolId]);
  await until(carol.conversations, (list) => list.some((it) => it.id === id));
  const sent = await timeline.sendText('all of you');
  await sent.saved();
  await until(timeline.view, ({ items }) => items.at(-1)?.state?.kind === 'delivered');
  for (const other of [bob, carol]) {
    await until(other.conversations, (list) => list.some((it) => it.id === id && it.unread > 0));
    other.markRead(id);
  }
  await until(timeline.view, ({ items }) => {
    const state = items.at(-1)?.state;
    return state?.kind === 'read' && state.by === 2;
  });
  await alice.setRole(made.id, bobId, 'admin');
  await until(bob.conversations, (list) =>
    list.some((it) => it.id === id && it.group?.role === 'admin'),
  );
  await bob.updateGroup(made.id, { name: 'swans' });
  await until(carol.conversations, (list) => list.some((it) => it.title === 'swans'));
  const members = await carol.listMembers(made.id);
  expect(members.members.map(({ user, role }) => [user, role])).toContainEqual([bobId, 'admin']);
  await bob.removeMember(made.id, carolId);
  await until(carol.conversations, (list) => list.some((it) => it.id === id && it.gone));
  const owner = await alice.leaveGroup(made.id).catch((error: unknown) => error);
  expect((owner as ClientError).is(ErrorCode.OwnerCannotLeave)).toBe(true);
  await bob.leaveGroup(made.id);
  expect(bob.conversation(id)?.gone).toBe(true);
  await alice.dissolveGroup(made.id);
  expect(alice.conversation(id)?.group?.dissolved).toBe(true);
  const late = await timeline.sendText('anybody?');
  await expect(late.saved()).rejects.toMatchObject({ code: ErrorCode.GroupDissolved });
  await alice.discard(late.clientMsgId);
  timeline.close();
});

test('people, presence, devices, and any other request', async () => {
  const bobId = (await alice.findUser('bob')).user;
  const unknown = await alice.findUser('nobody').catch((error: unknown) => error);
  expect(unknown).toBeInstanceOf(ClientError);
  expect((unknown as ClientError).is(ErrorCode.NoSuchUser)).toBe(true);
  expect((await alice.profiles([bobId, '1'])).map(({ name }) => name)).toEqual(['bob']);
  const carolId = (await alice.findUser('carol')).user;
  expect(await alice.watchPresence([bobId, carolId])).toEqual([
    { user: bobId, watched: true },
    { user: carolId, watched: false },
  ]);
  await until(alice.presence, (presence) => presence.get(bobId)?.online === true);
  bob.disconnect();
  await until(alice.presence, (presence) => presence.get(bobId)?.online === false);
  await bob.resume();
  await until(alice.presence, (presence) => presence.get(bobId)?.online === true);
  const reply = await alice.request(Opcode.ListDevices, ListDevices.encode({}).finish());
  expect(Devices.decode(reply).devices.length).toBe(1);
  expect((await alice.devices())[0]).toMatchObject({ id: alice.deviceId, current: true });
});

test('a password is changed, and an account closed', async () => {
  const dave = await registered(server, 'dave');
  const other = await client(server);
  await other.login('dave', PASSWORD);
  await dave.changePassword(PASSWORD, 'another secret');
  await until(other.status, (status) => status.kind === 'signedOut');
  await dave.deactivate('another secret');
  await until(dave.status, (status) => status.kind === 'signedOut');
  expect(dave.status.value).toMatchObject({ reason: { kind: 'accountClosed' } });
  await dave.shutdown();
  await other.shutdown();
});
