/**
 * Where the user is. A narrow window shows pages one after the other; a wide one keeps the list, with the chat beside it and a panel over it.
 */
import { ref, shallowRef } from 'vue'

import type { ConversationId } from '../chat/types'
import { wide } from './screen'

/** A screen that opens over the chat: as a page on a phone, as a drawer on a desk. */
export type PanelKind = 'new' | 'group' | 'devices' | 'settings' | 'password' | 'diagnostics' | 'detail' | 'stress'

/** An open panel. `arg` says what it is about: a conversation, a message. */
export interface Panel {
  readonly kind: PanelKind
  readonly arg: string
}

/** The conversation beside the list, on wide windows. */
export const selected = ref<ConversationId | ''>('')
/** The panels over the chat on wide windows, the top one last. */
export const panels = shallowRef<readonly Panel[]>([])

/** Shows a conversation. */
export function openChat(conversation: ConversationId): void {
  panels.value = []
  selected.value = conversation
  if (wide.value) return
  const url = `/pages/chat/chat?c=${encodeURIComponent(conversation)}`
  const pages = getCurrentPages()
  // From a panel over a chat, the new chat takes the place of both.
  if (pages.length > 1) uni.redirectTo({ url })
  else uni.navigateTo({ url })
}

/** Leaves the conversation that is shown. */
export function closeChat(): void {
  selected.value = ''
  if (!wide.value) goHome()
}

/** Opens a panel. */
export function openPanel(kind: PanelKind, arg = ''): void {
  if (wide.value && onHome()) panels.value = [...panels.value, { kind, arg }]
  else uni.navigateTo({ url: `/pages/panel/panel?kind=${kind}&arg=${encodeURIComponent(arg)}` })
}

/** Closes the top panel, or goes one page back. */
export function back(): void {
  if (panels.value.length > 0) panels.value = panels.value.slice(0, -1)
  else if (getCurrentPages().length > 1) uni.navigateBack({ delta: 1 })
  else goHome()
}

/** Shows the list, wherever the user was. */
export function goHome(): void {
  panels.value = []
  uni.reLaunch({ url: '/pages/home/home' })
}

/** Shows the login; nothing of the account before stays behind it. */
export function goLogin(): void {
  panels.value = []
  selected.value = ''
  if (currentRoute() !== 'pages/login/login') uni.reLaunch({ url: '/pages/login/login' })
}

/** The page that is shown now. */
export function currentRoute(): string {
  const pages = getCurrentPages()
  return pages[pages.length - 1]?.route ?? ''
}

function onHome(): boolean {
  return currentRoute() === 'pages/home/home'
}
