/**
 * A scrolling box in a browser. Rows are measured as soon as they are drawn, and changes of theirs arrive through ResizeObserver: both before
 * the frame is painted, so corrections are never seen.
 */
import type { MeasuredRow, PortEvents, ScrollPort } from './port'

/** How people scroll: wheel, finger, keys, and the scroll bar. */
const HANDS = ['wheel', 'touchmove', 'keydown', 'pointerdown', 'pointermove'] as const

/** Follows `scroller`; the rows are the children of `content` with a `data-key`. */
export function domPort(scroller: HTMLElement, content: HTMLElement, events: PortEvents): ScrollPort {
  const observed = new Set<Element>()
  const rows = new ResizeObserver((entries) => {
    const measured: MeasuredRow[] = []
    for (const { target } of entries) {
      const key = (target as HTMLElement).dataset.key
      if (key !== undefined && target.isConnected) measured.push({ key, height: target.getBoundingClientRect().height })
    }
    if (measured.length > 0) events.measured(measured)
  })
  const box = new ResizeObserver(() => events.resized())
  const onScroll = (): void => events.scrolled()
  scroller.addEventListener('scroll', onScroll, { passive: true })
  const onMove = (): void => events.moved()
  for (const name of HANDS) scroller.addEventListener(name, onMove, { passive: true })
  box.observe(scroller)
  return {
    feelsHands: true,
    get top() {
      return scroller.scrollTop
    },
    get fromEnd() {
      return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight
    },
    get height() {
      return scroller.clientHeight
    },
    scrollTo(top) {
      scroller.scrollTop = top
    },
    rendered() {
      const present = new Set<Element>(Array.from(content.children).filter((child) => (child as HTMLElement).dataset.key !== undefined))
      for (const element of observed) {
        if (!present.has(element)) {
          rows.unobserve(element)
          observed.delete(element)
        }
      }
      const measured: MeasuredRow[] = []
      for (const element of present) {
        if (!observed.has(element)) {
          rows.observe(element)
          observed.add(element)
          measured.push({ key: (element as HTMLElement).dataset.key ?? '', height: element.getBoundingClientRect().height })
        }
      }
      if (measured.length > 0) events.measured(measured)
    },
    close() {
      scroller.removeEventListener('scroll', onScroll)
      for (const name of HANDS) scroller.removeEventListener(name, onMove)
      rows.disconnect()
      box.disconnect()
    },
  }
}
