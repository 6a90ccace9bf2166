/**
 * The connection: opening it, keeping it alive, and letting go of it.
 *
 * ```text
 * offline ─start─▶ connecting ─session open─▶ syncing ─last page─▶ live
 *    ▲                │  ▲                        │                │
 *    │ stop           │  └──── time ── waitingToReconnect ◀─ lost ─┘
 *    │                ├─ no token ──▶ authRequired ─credentials─▶ connecting
 *    └─ any status    └─ refused, signed out ──▶ signedOut ─credentials─▶ ..
 * ```
 *
 * Invariants: at most one connection at a time; a connection that says nothing
 * for 2.5 heartbeats is dead; every connection ends in `handleClosed`, which
 * alone decides what follows.
 */
import { ClientError } from '../error.js';
import { Hello, Login, LoginExternal, Logout, Refresh, Register } from '../gen/auth.js';
import { CLIENT_BYTES_MAX, DEVICE_ID_BYTES_MAX, DISPLAY_NAME_BYTES_MAX } from '../limits.js';
import { writeDeviceClass } from '../model/wire.js';
import { Opcode } from '../opcode.js';
import { utf8Cut } from '../wire/utf8.js';
import { finishLogout } from './account.js';
import type { Credentials } from './credentials.js';
import { Link } from './link.js';
import type { CoreState } from './state.js';
import { beginSync } from './sync.js';

/**
 * Connects with the tokens that are kept, or asks for credentials. Does nothing
 * when a connection is open or on its way.
 */
export function start(core: CoreState): void {
  core.stopped = false;
  if (core.link.isOpen || core.link.phase === 'opening') {
    return;
  }
  if (core.tokens !== undefined || core.auth !== undefined) {
    connect(core);
  } else {
    core.setStatus({ kind: 'authRequired' });
  }
}

/** Closes the connection and stays offline until `start`. */
export function stop(core: CoreState): void {
  core.stopped = true;
  core.reconnectAtMs = undefined;
  core.connectAfterClose = false;
  close(core, new ClientError('closed', 'the client was disconnected'));
  core.setStatus({ kind: 'offline' });
}

/**
 * Opens a session with credentials; a `reply` with an encoded Session follows.
 * @throws ClientError `invalid` when somebody is signed in, `tooManyRequests`
 * when another attempt is under way.
 */
export function authenticate(core: CoreState, token: number, credentials: Credentials): void {
  if (core.tokens !== undefined) {
    throw new ClientError('invalid', 'somebody is signed in; log out first');
  }
  if (core.auth !== undefined || core.authReply !== undefined) {
    throw new ClientError('tooManyRequests', 'another attempt is under way');
  }
  core.stopped = false;
  core.auth = { token, credentials };
  connect(core);
}

/**
 * Signs out: the server is told when it can be, and this device forgets the
 * account in any case. A `reply` follows; an error in it means that the server
 * may not know.
 */
export function logout(core: CoreState, token: number): void {
  if (core.link.inSession) {
    core.requestFrame({ kind: 'logout', token }, Opcode.Logout, Logout.encode({}));
  } else {
    finishLogout(core, token, new ClientError('offline', 'there is no session'));
  }
}

/** Connects at once where a delay is running. */
export function reconnectNow(core: CoreState): void {
  if (core.reconnectAtMs !== undefined) {
    connect(core);
  }
}

/**
 * The connection may be gone without a word: asks for a sign of life, and
 * connects anew when none comes within `withinMs`. Where a delay is running,
 * connects at once.
 */
export function probe(core: CoreState, withinMs: number): void {
  if (isStale(core)) {
    core.connectAfterClose = true;
    close(core, new ClientError('timedOut', 'the attempt was on another network'));
  } else if (!core.link.inSession) {
    reconnectNow(core);
  } else if (core.link.probeUntilMs === undefined) {
    core.link.probeUntilMs = core.nowMs + withinMs;
    sendHeartbeat(core);
  }
}

/**
 * An attempt to connect that is not quite new: it may be on a network that is
 * gone. One with credentials is left alone, for its result would not be known.
 */
function isStale(core: CoreState): boolean {
  const { link, config } = core;
  if ((link.phase !== 'opening' && link.phase !== 'handshake') || core.auth !== undefined) {
    return false;
  }
  const begunMs = (link.deadlineMs ?? Infinity) - config.handshakeTimeoutMs;
  return core.nowMs - begunMs >= STALE_AFTER_MS;
}

/** Makes the driver open a connection, once the one before is closed. */
export function connect(core: CoreState): void {
  core.reconnectAtMs = undefined;
  const { link } = core;
  if (link.phase === 'closing') {
    core.connectAfterClose = true;
  } else if (link.phase === 'idle') {
    core.link = new Link(link.generation + 1);
    core.link.phase = 'opening';
    core.link.connectWanted = true;
    core.link.deadlineMs = core.nowMs + core.config.handshakeTimeoutMs;
  } else {
    return;
  }
  core.setStatus({ kind: 'connecting' });
}

/** Makes the driver close the connection. */
export function close(core: CoreState, error: ClientError): void {
  const { link } = core;
  if (link.phase === 'idle' || link.phase === 'closing') {
    return;
  }
  link.phase = 'closing';
  link.connectWanted = false;
  link.closeWanted = true;
  link.error ??= error;
}

/** The connection is open: says hello, and what opens a session. */
export function handleConnected(core: CoreState, generation: number): void {
  const { link } = core;
  if (link.phase !== 'opening' || generation !== link.generation) {
    return;
  }
  link.phase = 'handshake';
  link.receivedMs = core.nowMs;
  const { tokens, config } = core;
  const usable =
    core.auth === undefined &&
    tokens !== undefined &&
    !core.refreshFirst &&
    tokens.accessExpiresMs > core.nowMs;
  const hello = Hello.encode({
    client: utf8Cut(config.client, CLIENT_BYTES_MAX),
    device: {
      id: utf8Cut(config.device.id, DEVICE_ID_BYTES_MAX),
      class: writeDeviceClass(config.device.class),
      name: utf8Cut(config.device.name, DISPLAY_NAME_BYTES_MAX),
    },
    maxFrameBytes: 0,
    accessToken: usable ? tokens.accessToken : '',
    resume: usable ? beginSync(core) : undefined,
  });
  core.requestFrame({ kind: 'hello' }, Opcode.Hello, hello);
  if (!usable) {
    sendCredentials(core);
  }
}

/** Sends what opens a session beside the Hello. */
export function sendCredentials(core: CoreState): void {
  const purpose = { kind: 'authenticate' } as const;
  const credentials = core.auth?.credentials;
  if (credentials !== undefined) {
    const { opcode, message } = credentialsFrame(credentials);
    core.requestFrame(purpose, opcode, message);
  } else if (core.tokens !== undefined) {
    const { refreshToken } = core.tokens;
    core.requestFrame(purpose, Opcode.Refresh, Refresh.encode({ refreshToken }));
  } else {
    close(core, new ClientError('offline', 'there are no tokens'));
  }
}

function credentialsFrame(credentials: Credentials) {
  switch (credentials.kind) {
    case 'external': {
      const { idToken } = credentials;
      return { opcode: Opcode.LoginExternal, message: LoginExternal.encode({ idToken }) };
    }
    case 'password': {
      const { name, password } = credentials;
      return { opcode: Opcode.Login, message: Login.encode({ name, password }) };
    }
    case 'register': {
      const { name, password, displayName } = credentials;
      return { opcode: Opcode.Register, message: Register.encode({ name, password, displayName }) };
    }
  }
}

/** Time passed: connects, sends a heartbeat, or gives a dead connection up. */
export function handleLinkTimeout(core: CoreState): void {
  const { nowMs } = core;
  if (core.reconnectAtMs !== undefined && core.reconnectAtMs <= nowMs) {
    connect(core);
  }
  const { link } = core;
  const due = link.nextDeadlineMs();
  if (due === undefined || due > nowMs) {
    return;
  }
  if (!link.inSession || link.deadAtMs() <= nowMs) {
    // A probe asked because there is reason to connect at once.
    core.connectAfterClose = link.inSession && link.probeUntilMs !== undefined;
    close(core, new ClientError('timedOut', 'the server says nothing'));
  } else {
    sendHeartbeat(core);
  }
}

function sendHeartbeat(core: CoreState): void {
  core.link.heartbeatSentMs = core.nowMs;
  core.link.write(new Uint8Array(0));
  core.cursorsUnconfirmed.forEach((seq, id) => {
    core.cursorsBeforeHeartbeat.set(id, seq);
  });
  core.cursorsUnconfirmed.clear();
}

/** The server answered a heartbeat. */
export function onHeartbeat(core: CoreState): void {
  core.link.heartbeatSentMs = undefined;
  core.cursorsBeforeHeartbeat.clear();
}

const STALE_AFTER_MS = 2_000;
