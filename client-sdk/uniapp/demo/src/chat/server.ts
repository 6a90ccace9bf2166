/** Where the server is: what the user set, else what the page's own server says, else a guess. */
import { ref } from 'vue'

import { load, save } from '../ui/storage'

/** What a server that serves this app tells it about itself. */
interface Served {
  readonly websocket?: { readonly port?: unknown; readonly path?: unknown; readonly tls?: unknown }
}

/** The address in use. */
export const serverAddress = ref('')

let fallback = 'ws://127.0.0.1:5200/ws'

/** Finds the address; once, before the client is made. */
export async function findServer(): Promise<string> {
  // #ifdef H5
  fallback = (await askOrigin()) ?? guess()
  // #endif
  serverAddress.value = load('server', '') || fallback
  return serverAddress.value
}

/** The address that is used when the user sets none. */
export function defaultAddress(): string {
  return fallback
}

/** Keeps another address; empty for the default one. */
export function setServerAddress(address: string): void {
  save('server', address === fallback ? '' : address)
  serverAddress.value = address || fallback
}

/** Whether something looks like the address of a server. */
export function isAddress(text: string): boolean {
  return /^wss?:\/\/[^\s/?#]+(\/[^\s#]*)?$/.test(text)
}

// #ifdef H5
function guess(): string {
  const secure = location.protocol === 'https:'
  return `${secure ? 'wss' : 'ws'}://${location.hostname || '127.0.0.1'}:5200/ws`
}

async function askOrigin(): Promise<string | undefined> {
  try {
    const answer = await fetch('/hongyan.json', { cache: 'no-store' })
    if (!answer.ok) return undefined
    const { websocket } = (await answer.json()) as Served
    if (typeof websocket?.port !== 'number' || typeof websocket.path !== 'string') return undefined
    return `${websocket.tls === true ? 'wss' : 'ws'}://${location.hostname}:${websocket.port}${websocket.path}`
  } catch {
    // Not served by a Hongyan server: a development server answers with a page, a file has no origin.
    return undefined
  }
}
// #endif
