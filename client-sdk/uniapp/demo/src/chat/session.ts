/** The one client of the app: made at the start, fed by the platform, and turned into `state.ts`. Calls of the screens end here. */
import { createClient, type Client, type ClientError, type Unsubscribe } from '@hongyan/client'
import { bindUni } from '@hongyan/client/uni'

import { log } from './log'
import { askAgain, setDirectory } from './people'
import { platformOptions } from './platform'
import { findServer, serverAddress, setServerAddress } from './server'
import { account, conversations, elsewhere, online, ready, status, totalUnread } from './state'
import { takePlace } from './tabs'
import type { Account, ConversationState, Status } from './types'

const PRESENCE_MAX = 200

let client: Client | null = null
let ends: Unsubscribe[] = []
let watched = ''

/** The client; throws while the app starts, which no screen outlives. */
export function chat(): Client {
  if (client === null) throw new Error('the chat has not started')
  return client
}

/** Starts the chat with what this device holds; once, when the app starts. */
export async function startChat(): Promise<void> {
  await findServer()
  await open()
}

async function open(): Promise<void> {
  await takePlace(yieldPlace)
  const url = serverAddress.value
  // Messages are only logged here: what was missed is read by whoever scrolls back to it.
  const tuning = { missedMax: 0 }
  client = await createClient({ url, appName: 'hongyan-demo/0.1.0', tuning, ...platformOptions(url) })
  log('info', `client for ${url}`)
  bind(client)
  elsewhere.value = false
  ready.value = true
}

async function close(): Promise<void> {
  for (const end of ends) end()
  ends = []
  setDirectory(null)
  watched = ''
  const old = client
  client = null
  await old?.shutdown()
}

async function yieldPlace(): Promise<void> {
  elsewhere.value = true
  log('warn', 'another tab took over')
  await close()
}

function bind(made: Client): void {
  setDirectory({ known: (user) => made.knownProfile(user), ask: (users) => made.profiles(users) })
  ends = [
    made.status.subscribe(onStatus),
    made.accountState.subscribe((state) => (account.value = state.account)),
    made.conversations.subscribe((list) => {
      conversations.value = list
      watchPeers(made, list)
    }),
    made.totalUnread.subscribe((count) => (totalUnread.value = count)),
    made.presence.subscribe((people) => {
      for (const [user, { online: here }] of people) {
        if (here) online.add(user)
        else online.delete(user)
      }
    }),
    bindUni(made),
    made.on('disconnected', (error) => log('warn', `closed: ${error.kind} ${error.code || ''} ${error.message}`)),
    made.on('signedIn', (who) => log('info', `session open as ${who.name}`)),
    made.on('storageFailed', (error) => log('error', `storage: ${error.message}`)),
    made.on('message', (message) => log('info', `received ${message.conversation} seq ${message.seq}`)),
    made.on('send', ({ conversation, update }) => log(update.kind === 'failed' ? 'error' : 'info', `send ${update.kind} ${conversation}`)),
  ]
}

function onStatus(next: Status): void {
  const before = status.value.kind
  status.value = next
  if (next.kind === before) return
  log('info', `status ${next.kind}`)
  if (next.kind === 'live') askAgain()
}

// Whom the list shows is watched: the newest direct conversations.
function watchPeers(made: Client, list: readonly ConversationState[]): void {
  const peers = list.flatMap(({ peerId }) => (peerId === undefined ? [] : [peerId])).slice(0, PRESENCE_MAX)
  const wish = [...peers].sort().join()
  if (wish === watched) return
  watched = wish
  made.watchPresence(peers).catch((error: ClientError) => {
    // The wish stands in the client; it is watched when there is a connection.
    log('info', `presence: ${error.kind}`)
  })
}

// Sessions.

/** Makes an account and signs in. */
export function register(name: string, password: string, displayName: string): Promise<Account> {
  return chat().register(name, password, displayName)
}

/** Signs in. */
export function login(name: string, password: string): Promise<Account> {
  return chat().login(name, password)
}

/** Signs out and forgets everything of the account on this device; also when the server cannot be told. */
export async function logout(): Promise<void> {
  try {
    await chat().logout()
  } catch (error) {
    log('warn', `logout: ${(error as ClientError).kind}`)
  }
}

/** Connects now: ends a wait, takes the place back from another tab or device, or comes back from being offline by wish. */
export async function reconnect(): Promise<void> {
  if (elsewhere.value) {
    await open()
    return
  }
  const now = status.value
  try {
    if (now.kind === 'waitingToReconnect') chat().reconnectNow()
    else await chat().resume()
  } catch (error) {
    log('warn', `reconnect: ${(error as ClientError).kind}`)
  }
}

/** Goes offline until `reconnect`. */
export function disconnect(): void {
  chat().disconnect()
}

/** Talks to another server from now on; each server's state is kept apart. */
export async function changeServer(address: string): Promise<void> {
  ready.value = false
  await close()
  setServerAddress(address)
  account.value = undefined
  conversations.value = []
  await open()
}

/** The app came to the front, or left it. */
export function setForeground(foreground: boolean): void {
  if (foreground) client?.onShow()
  else client?.onHide()
}

