/** The state of the chat as Vue knows it. `session.ts` fills it from the SDK's watches; screens read it. */
import { computed, ref, shallowReactive, shallowRef } from 'vue'

import type { Account, ConversationId, ConversationState, Status, UserId } from './types'

/** How the client stands with the server. */
export const status = shallowRef<Status>({ kind: 'offline', since: Date.now(), lostAt: undefined, error: undefined })
/** Another tab of this browser took over; this one is asleep until it is called back. */
export const elsewhere = ref(false)
/** Who is signed in, with or without a connection. */
export const account = shallowRef<Account | undefined>(undefined)
/** All conversations, in the order of the list. */
export const conversations = shallowRef<readonly ConversationState[]>([])
/** Unread messages of all conversations that are not muted. */
export const totalUnread = ref(0)
/** Who is on line, of those that are watched. */
export const online = shallowReactive(new Set<UserId>())
/** Whether what this device holds is on the screen. */
export const ready = ref(false)

/** Whether messages go out at once. */
export const connected = computed(() => status.value.kind === 'live' || status.value.kind === 'syncing')

/** Whether somebody is signed in, so that there is something to show; also while another device has this one's place. */
export const signedIn = computed(() => {
  const { value } = status
  if (account.value === undefined || value.kind === 'authRequired') return false
  return value.kind !== 'signedOut' || value.reason.kind === 'replaced'
})

/** One conversation of the list. */
export function conversationOf(id: ConversationId): ConversationState | undefined {
  return conversations.value.find((conversation) => conversation.id === id)
}
