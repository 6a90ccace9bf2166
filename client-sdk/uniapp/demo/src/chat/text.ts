/** Texts of messages: links in them, the words for events, what a list shows of them. */
import { t } from '../i18n'
import type { Body, GroupEvent, Role, TimelineItem } from './types'

/** A piece of a text; `href` where it is a link. */
export interface Piece {
  readonly text: string
  readonly href: string
}

const LINK = /https?:\/\/[^\s<>"'，。；！？）】》]+/g
const TRAILING = /[.,;:!?)\]}]+$/

/** Splits a text into plain pieces and links. */
export function pieces(text: string): Piece[] {
  const out: Piece[] = []
  let at = 0
  for (const match of text.matchAll(LINK)) {
    const href = match[0].replace(TRAILING, '')
    if (match.index > at) out.push({ text: text.slice(at, match.index), href: '' })
    out.push({ text: href, href })
    at = match.index + href.length
  }
  if (at < text.length || out.length === 0) out.push({ text: text.slice(at), href: '' })
  return out
}

function emojiPattern(): RegExp | null {
  try {
    // Built at run time: an engine that does not know these classes loses big emoji, not the page.
    return new RegExp('^(?:\\p{Extended_Pictographic}(?:\\uFE0F|\\p{Emoji_Modifier}|\\u200D\\p{Extended_Pictographic})*\\s*){1,3}$', 'u')
  } catch {
    return null
  }
}
const ONLY_EMOJI = emojiPattern()

/** Whether a text is one to three emoji and nothing else: such a message is drawn large. */
export function onlyEmoji(text: string): boolean {
  return text.length <= 40 && ONLY_EMOJI !== null && ONLY_EMOJI.test(text.trim())
}

/** Length in bytes of UTF-8, which is what the server's limits count. */
export function byteLength(text: string): number {
  let bytes = 0
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}

/** Names people for the texts below. */
export type Naming = (user: string, place?: 'start' | 'inside') => string

/** The sentence for a change of a group. */
export function eventText(event: GroupEvent, name: Naming): string {
  const actor = name(event.actor)
  const named = event.users.map((user) => name(user, 'inside')).join(', ')
  const hidden = event.userCount - event.users.length
  const users = hidden > 0 ? t('event.andMore', { users: named, count: hidden }) : named
  switch (event.kind) {
    case 'created':
      return t('event.created', { actor, name: event.name })
    case 'invited':
      return t('event.invited', { actor, users })
    case 'left':
      return t('event.left', { actor })
    case 'removed':
      return t('event.removed', { actor, users })
    case 'roleChanged':
      return t('event.role', { actor, users, role: roleText(event.role) })
    case 'updated':
      return event.name === '' ? t('event.updated', { actor }) : t('event.renamed', { actor, name: event.name })
    case 'dissolved':
      return t('event.dissolved', { actor })
    default:
      return t('event.unknown')
  }
}

/** What a message says, in one line. */
export function bodyText(body: Body, name: Naming): string {
  switch (body.kind) {
    case 'text':
      return body.text.replace(/\s+/g, ' ')
    case 'opaque':
      return body.summary === '' ? `[${body.contentType}]` : body.summary
    case 'event':
      return eventText(body.event, name)
    default:
      return t('chat.newer')
  }
}

/** How far a message of one's own got, in words. */
export function stateText(item: TimelineItem, connected: boolean, group: boolean): string {
  switch (item.state?.kind) {
    case 'sending':
      return t(connected ? 'chat.sending' : 'chat.waiting')
    case 'saved':
      return t('chat.saved')
    case 'delivered':
      return t('chat.delivered')
    case 'read':
      return group ? t('chat.readBy', { count: item.state.by }) : t('chat.read')
    case 'failed':
      return t('chat.failed')
    default:
      return ''
  }
}

/** A role in words. */
export function roleText(role: Role): string {
  return t(role === 'owner' || role === 'admin' ? `role.${role}` : 'role.member')
}
