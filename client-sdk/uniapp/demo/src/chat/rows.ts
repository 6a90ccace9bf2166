/** From messages to what the timeline shows: day separators, bubbles in runs, events, the line above what is new. */
import { sameDay } from '../i18n/time'
import type { TimelineItem } from './types'

/** One row of the timeline. */
export type Row =
  | { readonly kind: 'beginning'; readonly key: string }
  | { readonly kind: 'day'; readonly key: string; readonly ms: number }
  | { readonly kind: 'unread'; readonly key: string }
  | { readonly kind: 'event'; readonly key: string; readonly item: TimelineItem }
  | {
      readonly kind: 'message'
      readonly key: string
      readonly item: TimelineItem
      /** First of a run of the same sender: has the name above it. */
      readonly first: boolean
      /** Last of a run: has the corner and the face. */
      readonly last: boolean
    }

/** Messages of one sender closer than this stand together. */
const RUN_MS = 5 * 60_000

function sameRun(a: TimelineItem | undefined, b: TimelineItem | undefined): boolean {
  return (
    a !== undefined &&
    b !== undefined &&
    a.body.kind !== 'event' &&
    b.body.kind !== 'event' &&
    a.sender === b.sender &&
    sameDay(a.timeMs, b.timeMs) &&
    Math.abs(b.timeMs - a.timeMs) < RUN_MS
  )
}

function sameRow(a: Row, b: Row): boolean {
  if (a.kind === 'message' && b.kind === 'message') return a.item === b.item && a.first === b.first && a.last === b.last
  if (a.kind === 'event' && b.kind === 'event') return a.item === b.item
  if (a.kind === 'day' && b.kind === 'day') return a.ms === b.ms
  return a.kind === b.kind
}

/**
 * Makes rows of the items of a timeline, and hands out the same row object as long as nothing about it changed: a list that compares
 * rows by identity redraws only what is new.
 */
export class RowMaker {
  private made = new Map<string, Row>()

  /**
   * The rows of `items`, which are in the order of the conversation. `unreadAfter` is the seq above which everything was new when the
   * conversation was opened (zero: no such line); `whole` says that nothing older exists.
   */
  rows(items: readonly TimelineItem[], unreadAfter: number, whole: boolean): Row[] {
    const rows: Row[] = []
    const made = new Map<string, Row>()
    const add = (row: Row): void => {
      const before = this.made.get(row.key)
      const kept = before !== undefined && sameRow(before, row) ? before : row
      made.set(row.key, kept)
      rows.push(kept)
    }
    if (whole) add({ kind: 'beginning', key: 'beginning' })
    // Where the line belongs is not here yet when what is here begins above it.
    let marked = unreadAfter === 0 || (!whole && (items[0]?.seq ?? 0) > unreadAfter + 1)
    items.forEach((item, index) => {
      const before = items[index - 1]
      if (before === undefined || !sameDay(before.timeMs, item.timeMs)) {
        add({ kind: 'day', key: `day-${item.key}`, ms: item.timeMs })
      }
      const opensUnread = !marked && !item.own && (item.seq ?? 0) > unreadAfter
      if (opensUnread) {
        add({ kind: 'unread', key: 'unread' })
        marked = true
      }
      if (item.body.kind === 'event') {
        add({ kind: 'event', key: item.key, item })
      } else {
        const first = opensUnread || !sameRun(before, item)
        add({ kind: 'message', key: item.key, item, first, last: !sameRun(item, items[index + 1]) })
      }
    })
    this.made = made
    return rows
  }
}
