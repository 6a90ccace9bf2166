/** What to call a conversation. */
import { t } from '../i18n'
import { nameOf } from './people'
import { account } from './state'
import type { ConversationId, ConversationState } from './types'

/** The title of a conversation, also of one that is not in the list yet. */
export function titleOf(id: ConversationId, state: ConversationState | undefined): string {
  if (state !== undefined && state.title !== '') return state.title
  const [kind, low, high] = id.split(':')
  if (kind === 'd' && low !== undefined && high !== undefined) return nameOf(low === account.value?.user ? high : low)
  return t('group.title')
}
