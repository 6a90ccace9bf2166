/** Opening, keeping, losing and ending sessions. */
import { expect, test } from 'vitest';
import { ClientError, ErrorCode, Opcode } from '../../src/index.js';
import { DIRECT, HEARTBEAT_MS, PEER, wireError } from '../support/model.js';
import { World } from '../support/world.js';

const meta = (world: World) =>
  Object.fromEntries(
    world.durable
      .all()
      .filter(({ section }) => section === 'meta')
      .map(({ key, value }) => [key, JSON.parse(value)]),
  );

test('a client without tokens asks for credentials', () => {
  const world = new World();
  world.core.start(world.nowMs);
  world.run();
  expect(world.status.kind).toBe('authRequired');
  expect(world.connected).toBe(false);
  world.login();
  world.run();
  expect(world.statuses()).toEqual(['authRequired', 'connecting', 'syncing', 'live']);
  expect(world.core.state.account?.user).toBe('4097');
});

test('tokens are kept before the session is used', () => {
  const world = new World();
  world.settle();
  world.storeStalled = true;
  world.login();
  world.run();
  expect(world.server.tokensIssued).toBe(1);
  expect(world.server.seen).not.toContain(Opcode.Sync);
  expect(world.reply(1)).toBeUndefined();
  world.unstallStore();
  expect(world.status.kind).toBe('live');
  expect(meta(world).tokens.refreshToken).toBe('refresh-1');
  expect(world.reply(1)).toBeInstanceOf(Uint8Array);
});

test('a restart resumes in one round trip', () => {
  const world = World.live();
  world.restart(true);
  world.server.seen = [];
  world.run();
  expect(world.status.kind).toBe('live');
  expect(world.server.seen).toEqual([Opcode.Hello]);
});

test('an expired token is refreshed once, on the same connection', () => {
  const world = World.live();
  world.server.accessToken = 'another';
  world.cut();
  world.server.seen = [];
  world.pass(1_000);
  expect(world.status.kind).toBe('live');
  expect(world.server.seen).toEqual([Opcode.Hello, Opcode.Refresh, Opcode.Sync]);
  expect(world.server.tokensIssued).toBe(2);
  expect(meta(world).tokens.refreshToken).toBe('refresh-2');
});

test('a token known to have expired is not tried', () => {
  const world = World.live();
  world.cut();
  world.reachable = false;
  world.pass(1_000_000);
  world.reachable = true;
  world.server.seen = [];
  world.pass(31_000);
  expect(world.status.kind).toBe('live');
  expect(world.server.seen.slice(0, 2)).toEqual([Opcode.Hello, Opcode.Refresh]);
  expect(world.server.tokensIssued).toBe(2);
});

test('a refused refresh signs out and keeps the outbox', () => {
  const world = World.live();
  world.reachable = false;
  world.cut();
  world.send(DIRECT, 'later');
  world.server.accessToken = 'another';
  world.server.refreshToken = 'used by somebody';
  world.reachable = true;
  world.pass(31_000);
  const signedOut = {
    kind: 'signedOut',
    reason: { kind: 'signedOut', code: ErrorCode.DeviceRevoked },
  };
  expect(world.status).toMatchObject(signedOut);
  expect(meta(world).tokens).toBeUndefined();
  world.pass(100_000);
  expect(world.status).toMatchObject(signedOut);
  world.login();
  world.run();
  expect(world.texts()).toEqual(['later']);
});

test('wrong credentials are told and not tried again', () => {
  const world = new World();
  const error = wireError(ErrorCode.BadCredentials, 0);
  world.server.refusals.push({ opcode: Opcode.Login, error });
  world.login();
  world.pass(100_000);
  expect(world.status.kind).toBe('authRequired');
  expect(world.reply(1)).toMatchObject({ kind: 'refused', code: ErrorCode.BadCredentials });
  expect(world.server.seen.filter((opcode) => opcode === Opcode.Login).length).toBe(1);
  world.login();
  world.run();
  expect(world.status.kind).toBe('live');
});

test('credentials are refused while somebody is signed in', () => {
  const world = World.live();
  expect(() => world.login()).toThrow(expect.objectContaining({ kind: 'invalid' }));
});

test('an unreachable server is told to who logs in', () => {
  const world = new World();
  world.reachable = false;
  world.login();
  world.run();
  expect(world.status).toMatchObject({ kind: 'authRequired', error: { kind: 'connect' } });
  expect(world.reply(1)).toMatchObject({ kind: 'connect' });
});

test('a server that says nothing is given up', () => {
  const world = new World();
  world.server.silent.add(Opcode.Hello).add(Opcode.Login);
  world.login();
  world.pass(20_000);
  expect(world.status.kind).toBe('authRequired');
  expect(world.connected).toBe(false);
});

test('a lost connection comes back after a jittered delay', () => {
  const world = World.live();
  const lostAt = world.nowMs;
  world.cut();
  world.settle();
  expect(world.status).toMatchObject({ kind: 'waitingToReconnect', lostAt, since: lostAt });
  expect(world.status.kind === 'waitingToReconnect' && world.status.retryAt).toBeLessThanOrEqual(
    lostAt + 500,
  );
  world.pass(500);
  expect(world.status).toMatchObject({ kind: 'live', lostAt: undefined, error: undefined });
});

test('failures widen the delay and a stable session resets it', () => {
  const world = World.live();
  const delay = () =>
    world.status.kind === 'waitingToReconnect' ? world.status.retryAt - world.nowMs : Number.NaN;
  world.reachable = false;
  world.cut();
  world.pass(200_000);
  expect(delay()).toBeGreaterThan(0);
  expect(delay()).toBeLessThanOrEqual(30_000);
  world.reachable = true;
  world.pass(30_000);
  expect(world.status.kind).toBe('live');
  world.pass(31_000);
  world.cut();
  world.settle();
  expect(delay()).toBeLessThanOrEqual(500);
});

test("the server's hint is taken as it is", () => {
  const world = World.live();
  world.server.goodbye(ErrorCode.GoingAway, 7_321);
  world.run();
  expect(world.status).toMatchObject({
    kind: 'waitingToReconnect',
    retryAt: world.nowMs + 7_321,
  });
  world.pass(7_320);
  expect(world.connected).toBe(false);
  world.pass(1);
  expect(world.status.kind).toBe('live');
});

test('replaced stays away until the app takes the place back', () => {
  const world = World.live();
  world.server.goodbye(ErrorCode.Replaced, 0);
  world.pass(500_000);
  expect(world.status).toMatchObject({ kind: 'signedOut', reason: { kind: 'replaced' } });
  expect(world.core.state.tokens).toBeDefined();
  world.core.start(world.nowMs);
  world.run();
  expect(world.status.kind).toBe('live');
});

test('a close code says what a Goodbye would have said', () => {
  const world = World.live();
  world.cut({ code: 4604, reason: 'replaced' });
  world.pass(500_000);
  expect(world.status).toMatchObject({ kind: 'signedOut', reason: { kind: 'replaced' } });
  world.core.start(world.nowMs);
  world.run();
  world.cut({ code: 4601, reason: 'idle' });
  world.pass(30_000);
  expect(world.status.kind).toBe('live');
  // What the platform says of itself is a loss like any other.
  world.cut({ code: 1000, reason: 'interrupted' });
  world.pass(30_000);
  expect(world.status.kind).toBe('live');
  world.cut({ code: 4605, reason: 'signed out' });
  world.settle();
  expect(world.status).toMatchObject({ kind: 'signedOut', reason: { kind: 'signedOut' } });
  expect(world.core.state.tokens).toBeUndefined();
});

test('a goodbye without a hint reconnects when its code says so', () => {
  const world = World.live();
  world.server.goodbye(ErrorCode.IdleTimeout, 0);
  world.pass(500);
  expect(world.status.kind).toBe('live');
  world.server.goodbye(ErrorCode.MalformedFrame, 0);
  world.pass(500_000);
  expect(world.status.kind).toBe('offline');
});

test('logout tells the server and forgets everything but the device', () => {
  const world = World.live();
  world.server.say(DIRECT, PEER, 'hello', true);
  world.run();
  world.core.logout(world.nowMs, 5);
  world.run();
  expect(world.server.seen.at(-1)).toBe(Opcode.Logout);
  expect(world.status).toMatchObject({ kind: 'signedOut', reason: { kind: 'logout' } });
  expect(world.core.conversation(DIRECT)).toBeUndefined();
  expect(meta(world)).toEqual({ device: 'device' });
  expect(world.durable.all().length).toBe(1);
  world.pass(500_000);
  expect(world.connected).toBe(false);
});

test('logout without a connection still forgets', () => {
  const world = World.live();
  world.reachable = false;
  world.cut();
  const sent = world.send(DIRECT, 'never');
  world.settle();
  world.core.logout(world.nowMs, 5);
  world.run();
  expect(world.reply(5)).toMatchObject({ kind: 'offline' });
  expect(world.updates(sent).at(-1)).toMatchObject({ kind: 'dropped', error: { kind: 'closed' } });
  expect(world.durable.all().length).toBe(1);
});

test('heartbeats keep an idle connection', () => {
  const world = World.live();
  world.pass(HEARTBEAT_MS * 10);
  expect(world.status.kind).toBe('live');
  expect(world.server.heartbeats).toBe(10);
  expect(world.statuses()).toEqual([]);
});

/** The wire swallows everything, and nobody says so. */
function swallow(world: World): void {
  world.settle();
  while (world.connected) {
    const at = world.core.pollTimeout(world.nowMs) ?? Number.NaN;
    world.nowMs = Math.max(world.nowMs, at);
    world.core.handleTimeout(world.nowMs);
    world.settle();
  }
}

test('a silent peer is dead after two and a half heartbeats', () => {
  const world = World.live();
  const start = world.nowMs;
  swallow(world);
  expect(world.nowMs - start).toBe(HEARTBEAT_MS * 2.5);
  expect(world.status.kind).toBe('waitingToReconnect');
});

test('a probe finds a dead connection and connects anew at once', () => {
  const world = World.live();
  const start = world.nowMs;
  world.core.probe(world.nowMs, 3_000);
  const generation = world.core.state.link.generation;
  world.settle();
  // Nothing comes back.
  world.server.outgoing = [];
  world.nowMs = start + 3_000;
  world.core.handleTimeout(world.nowMs);
  world.run();
  expect(world.status.kind).toBe('live');
  expect(world.core.state.link.generation).toBe(generation + 1);
  expect(world.nowMs).toBe(start + 3_000);
});

test('a probe that is answered changes nothing', () => {
  const world = World.live();
  const generation = world.core.state.link.generation;
  world.core.probe(world.nowMs, 3_000);
  world.core.probe(world.nowMs, 3_000);
  world.pass(5_000);
  expect(world.server.heartbeats).toBe(1);
  expect(world.core.state.link.generation).toBe(generation);
  expect(world.statuses()).toEqual([]);
});

test('coming back ends the wait, and attempts are not doubled', () => {
  const world = World.live();
  world.reachable = false;
  world.cut();
  world.pass(100_000);
  expect(world.status.kind).toBe('waitingToReconnect');
  world.reachable = true;
  world.core.probe(world.nowMs, 5_000);
  world.core.probe(world.nowMs, 5_000);
  world.core.reconnectNow(world.nowMs);
  const generation = world.core.state.link.generation;
  world.run();
  expect(world.status.kind).toBe('live');
  expect(world.core.state.link.generation).toBe(generation);
});

test('requests on a lost connection have an unknown result', () => {
  const world = World.live();
  world.server.silent.add(Opcode.ListDevices);
  const ask = (token: number) =>
    world.core.request(world.nowMs, token, Opcode.ListDevices, new Uint8Array(0));
  ask(7);
  world.run();
  world.cut();
  world.settle();
  expect(world.reply(7)).toMatchObject({ kind: 'timedOut' });
  expect(() => ask(8)).toThrow(expect.objectContaining({ kind: 'offline' }));
  world.pass(500);
  ask(9);
  world.pass(15_000);
  expect(world.reply(9)).toMatchObject({ kind: 'timedOut' });
  expect(world.status.kind).toBe('live');
});

test('too many requests are refused here', () => {
  const world = World.live();
  world.server.silent.add(Opcode.ListDevices);
  const ask = (token: number) =>
    world.core.request(world.nowMs, token, Opcode.ListDevices, new Uint8Array(0));
  for (let token = 10; token < 1_034; token++) {
    ask(token);
  }
  expect(() => ask(2_000)).toThrow(expect.objectContaining({ kind: 'tooManyRequests' }));
});

test('stop stays offline', () => {
  const world = World.live();
  world.core.stop(world.nowMs);
  world.pass(500_000);
  expect(world.status.kind).toBe('offline');
  expect(world.connected).toBe(false);
  world.core.start(world.nowMs);
  world.run();
  expect(world.status.kind).toBe('live');
});

test('bytes that are no frame end the connection with an error', () => {
  const world = World.live();
  world.core.handleFrame(world.nowMs, new Uint8Array([0xff, 0xff, 0xff]));
  world.settle();
  expect(world.status).toMatchObject({ kind: 'waitingToReconnect', error: { kind: 'protocol' } });
  expect(world.status.error).toBeInstanceOf(ClientError);
});
