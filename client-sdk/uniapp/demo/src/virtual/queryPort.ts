/** A `scroll-view` where there is no document: mini-programs and App. Sizes are asked for after each rendering. */
import type { ComponentPublicInstance } from 'vue'

import type { MeasuredRow, PortEvents, ScrollPort } from './port'

/** What the `scroll-view` of the template is bound to. */
export interface QueryPort extends ScrollPort {
  /** From `@scroll`. */
  onScroll(top: number, whole: number): void
}

interface Rect {
  readonly height?: number
  readonly dataset?: { readonly key?: string }
}

/** Follows the `scroll-view` of class `box` in `instance`; rows have the class `row` and a `data-key`. `bind` sets its `scroll-top`. */
export function queryPort(
  instance: ComponentPublicInstance | null,
  box: string,
  row: string,
  bind: (top: number) => void,
  events: PortEvents,
): QueryPort {
  let top = 0
  let height = uni.getSystemInfoSync().windowHeight
  let whole = 0
  let closed = false
  const port: QueryPort = {
    feelsHands: false,
    get top() {
      return top
    },
    get fromEnd() {
      return whole - top - height
    },
    get height() {
      return height
    },
    scrollTo(next) {
      top = Math.max(0, next)
      bind(top)
    },
    onScroll(next, nextWhole) {
      top = next
      whole = nextWhole
      events.scrolled()
    },
    rendered() {
      if (closed) return
      uni
        .createSelectorQuery()
        .in(instance)
        .select(box)
        .boundingClientRect()
        .selectAll(row)
        .fields({ size: true, dataset: true }, () => undefined)
        .exec((answers: unknown) => {
          if (closed) return
          const [outer, inner] = answers as [Rect | null, Rect[] | null]
          if (outer?.height !== undefined && outer.height !== height) {
            height = outer.height
            events.resized()
          }
          const measured: MeasuredRow[] = []
          for (const { dataset, height: size } of inner ?? []) {
            if (dataset?.key !== undefined && size !== undefined) measured.push({ key: dataset.key, height: size })
          }
          if (measured.length > 0) events.measured(measured)
        })
    },
    close() {
      closed = true
    },
  }
  return port
}
