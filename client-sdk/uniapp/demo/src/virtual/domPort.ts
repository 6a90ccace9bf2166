/**
 * A scrolling box in a browser. Rows are measured as soon as they are drawn, and changes of theirs arrive through ResizeObserver: both before
 * the frame is painted, so corrections are never seen.
 */
import type { PortEvents, ScrollPort } from './port'

/** How people scroll: wheel, finger, keys, and the scroll bar. */
const HANDS = ['wheel', 'touchmove', 'keydown', 'pointerdown', 'pointermove'] as const

/** Follows `scroller`; the rows are the children of `content` with a `data-key`. */
export function domPort(scroller: HTMLElement, content: HTMLElement, events: PortEvents): ScrollPort {
  const observed = new Set<Element>()
  const measure = (elements: readonly Element[]): void => {
    const measured = elements.flatMap((element) => {
      const { key } = (element as HTMLElement).dataset
      const { height } = element.getBoundingClientRect()
      // Without a height: on a page below another one. It is measured when that is shown again.
      return key !== undefined && height > 0 ? [{ key, height }] : []
    })
    if (measured.length > 0) events.measured(measured)
  }
  const rows = new ResizeObserver((entries) => measure(entries.map(({ target }) => target)))
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
      const fresh = [...present].filter((element) => !observed.has(element))
      for (const element of fresh) {
        rows.observe(element)
        observed.add(element)
      }
      measure(fresh)
    },
    close() {
      scroller.removeEventListener('scroll', onScroll)
      for (const name of HANDS) scroller.removeEventListener(name, onMove)
      rows.disconnect()
      box.disconnect()
    },
  }
}
