/** What lies over a page: short notes, questions, menus. One of each at a time; `Overlays.vue` draws them. */
import { ref, shallowRef } from 'vue'

import type { IconName } from '../theme/icons'

/** A choice in a menu. */
export interface MenuItem {
  readonly label: string
  readonly icon: IconName
  readonly danger?: boolean
  readonly run: () => void
}

/** An open menu; at a point on wide screens, from below on narrow ones. */
export interface Menu {
  readonly title: string
  readonly items: readonly MenuItem[]
  readonly x: number
  readonly y: number
}

/** A question with a yes and a no. */
export interface Question {
  readonly text: string
  readonly yes: string
  readonly danger: boolean
  readonly answer: (yes: boolean) => void
}

/** A note that goes by itself. */
export interface Note {
  readonly id: number
  readonly text: string
  readonly bad: boolean
}

/** The open menu. */
export const menu = shallowRef<Menu | null>(null)
/** The open question. */
export const question = shallowRef<Question | null>(null)
/** The note on the screen. */
export const note = shallowRef<Note | null>(null)
const notes = ref(0)

const NOTE_MS = 3_200

/** Shows a note for a moment; a later one takes its place. */
export function tell(text: string, bad = false): void {
  notes.value += 1
  const id = notes.value
  note.value = { id, text, bad }
  setTimeout(() => {
    if (note.value?.id === id) note.value = null
  }, NOTE_MS)
}

/** Asks, and waits for the answer. A question that another one replaces counts as no. */
export function ask(text: string, yes: string, danger = false): Promise<boolean> {
  question.value?.answer(false)
  return new Promise((resolve) => {
    question.value = {
      text,
      yes,
      danger,
      answer: (value) => {
        question.value = null
        resolve(value)
      },
    }
  })
}

/** Opens a menu. */
export function openMenu(title: string, items: readonly MenuItem[], x = 0, y = 0): void {
  if (items.length > 0) menu.value = { title, items, x, y }
}

/** Closes what is on top. Returns whether there was something. */
export function closeTop(): boolean {
  if (menu.value !== null) {
    menu.value = null
    return true
  }
  if (question.value !== null) {
    question.value.answer(false)
    return true
  }
  return false
}

/** Puts text on the clipboard and says so. */
export function copy(text: string, done: string): void {
  uni.setClipboardData({ data: text, showToast: false, success: () => tell(done), fail: () => tell(text) })
}
