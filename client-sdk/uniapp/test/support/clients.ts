/** Clients for tests against a real server. */
import WebSocket from 'ws';
import type { Client, ClientOptions, Watch, WebSocketConstructor } from '../../src/index.js';
import { createClient, webSocketTransport } from '../../src/index.js';
import type { Server } from './server.js';

export const nodeTransport = () =>
  webSocketTransport({ WebSocket: WebSocket as unknown as WebSocketConstructor });

/** A client of `server` that nobody has signed in on. */
export function client(server: Server, options: Partial<ClientOptions> = {}): Promise<Client> {
  return createClient({ url: server.url, transport: nodeTransport(), ...options });
}

/** A client with a new account. */
export async function registered(
  server: Server,
  name: string,
  options: Partial<ClientOptions> = {},
): Promise<Client> {
  const made = await client(server, options);
  await made.register(name, PASSWORD);
  await made.waitLive();
  return made;
}

/** Waits until a watched value is as wanted. */
export function until<T>(watch: Watch<T>, wanted: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    let off: (() => void) | undefined;
    let done = false;
    off = watch.subscribe((value) => {
      if (!done && wanted(value)) {
        done = true;
        off?.();
        resolve(value);
      }
    });
    if (done) {
      off();
    }
  });
}

/** The texts of an open timeline. */
export function texts(view: { items: readonly { body: { kind: string } }[] }): string[] {
  return view.items.map(({ body }) => ('text' in body ? String(body.text) : `(${body.kind})`));
}

export const PASSWORD = 'correct horse';
