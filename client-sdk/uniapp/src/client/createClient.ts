import { ClientError } from '../error.js';
import type { Client } from './api.js';
import type { ClientOptions } from './options.js';

/**
 * Makes a client. Resolves when the store is loaded: what it holds can be
 * shown at once, also without a connection. The client connects by itself when
 * the store holds tokens.
 * @throws ClientError `storage` when the store cannot be read, `invalid` for
 * options that cannot be meant.
 */
export function createClient(_options: ClientOptions): Promise<Client> {
  return Promise.reject(new ClientError('closed', 'the client is not built in yet'));
}
