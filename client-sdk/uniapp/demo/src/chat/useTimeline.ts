/** A conversation's messages for the life of a component. */
import { onBeforeUnmount, ref, shallowRef, type Ref, type ShallowRef } from 'vue'

import type { Timeline } from '@hongyan/client'

import { chat } from './session'
import { conversationOf } from './state'
import type { ConversationId, TimelineItem } from './types'

const PAGE = 100

/** What the chat page shows and does. */
export interface OpenTimeline {
  readonly items: ShallowRef<readonly TimelineItem[]>
  /** Older messages exist that are not here. */
  readonly hasOlder: Ref<boolean>
  /** It was read back so far that the newest are not here. */
  readonly hasNewer: Ref<boolean>
  /** The newest that exists. */
  readonly lastSeq: Ref<number>
  readonly loading: Ref<boolean>
  readonly failed: Ref<boolean>
  /** What was read when it was opened; zero when nothing was new. */
  readonly unreadAfter: number
  /** Pages older messages in; one page at a time. */
  loadOlder(): Promise<void>
  /** Pages newer messages in, where there are some that are not here. */
  loadNewer(): Promise<void>
  /** Shows the newest messages. */
  toNewest(): void
  /** Marks read up to here. */
  markRead(seq: number): void
}

/** Opens the timeline of `id` until the component goes. */
export function useTimeline(id: ConversationId): OpenTimeline {
  const state = conversationOf(id)
  const timeline: Timeline = chat().openTimeline(id)
  const items = shallowRef<readonly TimelineItem[]>([])
  const hasOlder = ref(false)
  const hasNewer = ref(false)
  const lastSeq = ref(0)
  const loading = ref(false)
  const failed = ref(false)
  let readSeq = state?.readSeq ?? 0

  const end = timeline.view.subscribe((view) => {
    items.value = view.items
    hasOlder.value = view.hasOlder
    hasNewer.value = view.hasNewer
    lastSeq.value = view.lastSeq
  })
  onBeforeUnmount(() => {
    end()
    timeline.close()
  })

  async function page(load: () => Promise<number>): Promise<void> {
    if (loading.value) return
    loading.value = true
    failed.value = false
    try {
      await load()
    } catch {
      failed.value = true
    } finally {
      loading.value = false
    }
  }

  return {
    items,
    hasOlder,
    hasNewer,
    lastSeq,
    loading,
    failed,
    unreadAfter: state !== undefined && state.unread > 0 ? state.lastSeq - state.unread : 0,
    async loadOlder() {
      if (hasOlder.value) await page(() => timeline.loadOlder(PAGE))
    },
    async loadNewer() {
      if (hasNewer.value) await page(() => timeline.loadNewer(PAGE))
    },
    toNewest() {
      timeline.toNewest()
    },
    markRead(seq) {
      if (seq <= readSeq) return
      readSeq = seq
      chat().markRead(id, seq)
    },
  }
}
