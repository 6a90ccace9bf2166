import { TUNING } from '../core/config.js';
import { readRows, type StoredState } from '../core/rows.js';
import { ClientError } from '../error.js';
import { CLIENT_ID_BYTES } from '../limits.js';
import { memoryStore } from '../store/memory.js';
import type { LocalStore } from '../store/store.js';
import { webSocketTransport } from '../transport/webSocket.js';
import { VERSION } from '../version.js';
import { hexEncode } from '../wire/hex.js';
import type { Client } from './api.js';
import { HongyanClient } from './hongyanClient.js';
import type { ClientOptions } from './options.js';
import { randomBytes } from './random.js';

/**
 * Makes a client. Resolves when the store is loaded: what it holds can be
 * shown at once, also without a connection. The client connects by itself when
 * the store holds tokens.
 * @throws ClientError `storage` when the store cannot be read.
 */
export async function createClient(options: ClientOptions): Promise<Client> {
  const store = options.store ?? memoryStore();
  const stored = await load(store);
  const { id, class: deviceClass = 'unspecified', name = '' } = options.device ?? {};
  const deviceId = stored.deviceId ?? id ?? hexEncode(randomBytes(CLIENT_ID_BYTES));
  const client = new HongyanClient(
    {
      config: {
        ...TUNING,
        ...options.tuning,
        client: options.appName ?? `hongyan-client-ts/${VERSION}`,
        device: { id: deviceId, class: deviceClass, name },
        storedMessagesMax: store.messagesMax ?? STORED_MESSAGES_MAX,
      },
      stored,
      store,
      url: options.url,
      transport: options.transport ?? webSocketTransport(),
    },
    options.tokenProvider,
  );
  if (options.autoStart !== false) {
    client.start();
  }
  return client;
}

async function load(store: LocalStore): Promise<StoredState> {
  try {
    return readRows(await store.load());
  } catch (error) {
    throw new ClientError('storage', error instanceof Error ? error.message : String(error));
  }
}

/** Messages in the store, where it does not say how many it takes. */
const STORED_MESSAGES_MAX = 50_000;
