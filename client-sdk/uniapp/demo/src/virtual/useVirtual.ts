/**
 * A list that draws only the rows on the screen. What the user looks at stays where it is when rows come above it or change their
 * height; a list that is at its end stays at its end.
 */
import { nextTick, onBeforeUnmount, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'

import { Heights } from './heights'
import type { MeasuredRow, PortEvents, ScrollPort } from './port'

/** A row has a key that is its own for as long as it is in the list. */
export interface Keyed {
  readonly key: string
}

/** How a list behaves. */
export interface VirtualOptions<R extends Keyed> {
  /** All rows, in order. */
  readonly rows: () => readonly R[]
  /** The height of a row before any was seen. */
  readonly guess: number
  /** Whether it holds on to the end of the list; asked at the start and whenever it comes to the end. */
  readonly stickToEnd: () => boolean
}

/** What a component draws, and what it may ask. */
export interface Virtual<R extends Keyed> {
  /** The rows to draw. */
  readonly visible: ShallowRef<readonly R[]>
  /** The place of the first of `visible` among all rows. */
  readonly start: Ref<number>
  /** Space above and below the rows that are drawn. */
  readonly before: Ref<number>
  readonly after: Ref<number>
  /** Whether the end of the list is on the screen. */
  readonly atEnd: Ref<boolean>
  /** How far the screen is from the first row, and from the end of the last. */
  readonly fromStart: Ref<number>
  readonly fromEnd: Ref<number>
  /** The key of the last row that is wholly or partly on the screen. */
  readonly lastSeen: Ref<string>
  attach(port: (events: PortEvents) => ScrollPort): void
  toEnd(): void
  toKey(key: string, align?: 'nearest' | 'start'): boolean
}

const OVERSCAN_PX = 700
const END_PX = 48
/** Scroll events of a change arrive within this time after it. */
const SETTLE_MS = 500
/** When, after a change, the end is looked for again. */
const HOLD_MS = [60, 200, 450]
/** A hand that moved the box so lately is why it scrolls. */
const HAND_MS = 600

interface Anchor {
  readonly key: string
  readonly delta: number
}

/** Makes a virtual list. */
export function useVirtual<R extends Keyed>(options: VirtualOptions<R>): Virtual<R> {
  const heights = new Heights(options.guess)
  let rows: readonly R[] = []
  let indexOf = new Map<string, number>()
  let port: ScrollPort | null = null
  let stuck = options.stickToEnd()
  let settling = 0
  /** Where the list is about to be put: until then the box's own place says nothing. */
  let coming: Anchor | null = null
  let handMs = 0

  const visible = shallowRef<readonly R[]>([])
  const start = ref(0)
  const before = ref(0)
  const after = ref(0)
  const atEnd = ref(true)
  const fromStart = ref(0)
  const fromEnd = ref(0)
  const lastSeen = ref('')

  function anchor(): Anchor | null {
    if (coming !== null) return coming
    if (port === null || rows.length === 0) return null
    const index = heights.indexAt(port.top)
    const row = rows[index]
    return row === undefined ? null : { key: row.key, delta: port.top - heights.offset(index) }
  }

  function draw(): void {
    if (port === null) return
    const { top, height } = port
    const from = Math.max(0, heights.indexAt(top - OVERSCAN_PX))
    const to = Math.min(rows.length, heights.indexAt(top + height + OVERSCAN_PX) + 1)
    start.value = from
    before.value = heights.offset(from)
    after.value = heights.total - heights.offset(to)
    const same = visible.value.length === to - from && visible.value.every((row, index) => row === rows[from + index])
    if (!same) {
      visible.value = rows.slice(from, to)
      void nextTick(() => port?.rendered())
    }
    fromStart.value = top
    fromEnd.value = Math.max(0, heights.total - top - height)
    atEnd.value = stuck || to === rows.length && port.fromEnd <= END_PX
    lastSeen.value = rows[heights.indexAt(top + height - 1)]?.key ?? ''
  }

  function restore(place: Anchor | null): void {
    if (port === null) return
    if (stuck) {
      port.scrollTo(heights.total)
    } else if (place !== null) {
      const index = indexOf.get(place.key)
      if (index !== undefined) port.scrollTo(heights.offset(index) + place.delta)
    }
  }

  function hold(): void {
    if (!stuck || port === null || port.fromEnd <= 1) return
    port.scrollTo(heights.total)
    draw()
  }

  // The spacers must have their new size before the box can be scrolled there.
  async function settle(place: Anchor | null): Promise<void> {
    settling += 1
    for (const after of HOLD_MS) setTimeout(hold, after)
    setTimeout(() => (settling -= 1), SETTLE_MS)
    coming = place
    draw()
    await nextTick()
    restore(place)
    coming = null
    draw()
    await nextTick()
    port?.rendered()
    hold()
  }

  function take(next: readonly R[]): void {
    const place = anchor()
    rows = next
    indexOf = new Map(next.map((row, index) => [row.key, index]))
    heights.setKeys(next.map((row) => row.key))
    void settle(place)
  }

  function onMeasured(measured: readonly MeasuredRow[]): void {
    const place = anchor()
    let changed = false
    for (const { key, height } of measured) {
      const index = indexOf.get(key)
      if (index !== undefined && heights.measure(index, height) !== 0) changed = true
    }
    if (changed) void settle(place)
  }

  const events: PortEvents = {
    scrolled() {
      if (port === null) return
      // By what is really there: the heights of rows that were never drawn are guesses. While rows are being put in
      // and measured the box moves by itself: then the list stays at its end.
      if (port.fromEnd <= END_PX) stuck = options.stickToEnd()
      else if (stuck && (port.feelsHands ? Date.now() - handMs > HAND_MS : settling > 0)) port.scrollTo(heights.total)
      else stuck = false
      draw()
    },
    moved() {
      handMs = Date.now()
    },
    measured: onMeasured,
    resized() {
      restore(null)
      draw()
    },
  }

  watch(options.rows, take, { immediate: true })
  onBeforeUnmount(() => port?.close())

  return {
    visible,
    start,
    before,
    after,
    atEnd,
    fromStart,
    fromEnd,
    lastSeen,
    attach(make) {
      port?.close()
      port = make(events)
      void settle(null)
    },
    toEnd() {
      stuck = options.stickToEnd()
      port?.scrollTo(heights.total)
      draw()
      void settle(null)
    },
    toKey(key, align = 'nearest') {
      const index = indexOf.get(key)
      if (port === null || index === undefined) return false
      const top = heights.offset(index)
      const bottom = heights.offset(index + 1)
      stuck = false
      if (align === 'start' || top < port.top) port.scrollTo(Math.max(0, top - 56))
      else if (bottom > port.top + port.height) port.scrollTo(bottom - port.height + 8)
      draw()
      return true
    },
  }
}
