/** What a browser page tells a client: seen or hidden, on line again. */
import type { Client } from '../client/api.js';
import type { Unsubscribe } from '../watch.js';

/**
 * Tells the client when the page is shown and when the network is back. Does
 * nothing where there is no page.
 */
export function bindBrowser(client: Client): Unsubscribe {
  if (typeof document === 'undefined' || typeof window === 'undefined') {
    return () => {};
  }
  const visibility = () => client.setForeground(document.visibilityState !== 'hidden');
  const online = () => client.networkChanged();
  document.addEventListener('visibilitychange', visibility);
  window.addEventListener('online', online);
  return () => {
    document.removeEventListener('visibilitychange', visibility);
    window.removeEventListener('online', online);
  };
}
