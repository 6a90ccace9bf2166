/** A conversation's messages for the life of a component. */
import { onBeforeUnmount, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

import { ClientError, type Timeline } from '@hongyan/client'

import { chat } from './session'
import { conversationOf } from './state'
import type { ConversationId, TimelineItem } from './types'

const PAGE = 100

/** What the chat page shows and does. */
export interface OpenTimeline {
  readonly items: ShallowRef<readonly TimelineItem[]>
  /** Older messages exist that are not here. */
  readonly hasOlder: Ref<boolean>
  /** As many are here as there can be. */
  readonly full: Ref<boolean>
  readonly loading: Ref<boolean>
  readonly failed: Ref<boolean>
  /** What was read when it was opened; zero when nothing was new. */
  readonly unreadAfter: number
  /** Pages older messages in; one page at a time. */
  loadOlder(): Promise<void>
  /** Marks read up to here. */
  markRead(seq: number): void
}

/** Opens the timeline of `id` until the component goes. */
export function useTimeline(id: ConversationId): OpenTimeline {
  const state = conversationOf(id)
  const timeline: Timeline = chat().openTimeline(id)
  const items = shallowRef<readonly TimelineItem[]>([])
  const hasOlder = ref(false)
  const full = ref(false)
  const loading = ref(false)
  const failed = ref(false)
  let readSeq = state?.readSeq ?? 0

  const end = timeline.view.subscribe((view) => {
    items.value = view.items
    hasOlder.value = view.hasOlder
  })
  onBeforeUnmount(() => {
    end()
    timeline.close()
  })

  return {
    items,
    hasOlder,
    full,
    loading,
    failed,
    unreadAfter: state !== undefined && state.unread > 0 ? state.lastSeq - state.unread : 0,
    async loadOlder() {
      if (loading.value || full.value || !hasOlder.value) return
      loading.value = true
      failed.value = false
      try {
        await timeline.loadOlder(PAGE)
      } catch (error) {
        if (error instanceof ClientError && error.kind === 'windowFull') full.value = true
        else failed.value = true
      } finally {
        loading.value = false
      }
    },
    markRead(seq) {
      if (seq <= readSeq) return
      readSeq = seq
      chat().markRead(id, seq)
    },
  }
}
