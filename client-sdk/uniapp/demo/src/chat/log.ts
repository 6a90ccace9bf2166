/** What happened to the connection, for the diagnostics page. Bounded; message texts are never in it. */
import { shallowRef } from 'vue'

import { clock } from '../i18n/time'
import type { LogLine } from './types'

const LINES_MAX = 400
let next = 1

/** The newest lines, the latest last. */
export const logLines = shallowRef<readonly LogLine[]>([])

/** Adds a line. */
export function log(level: LogLine['level'], text: string): void {
  const line: LogLine = { id: next, ms: Date.now(), level, text }
  next += 1
  logLines.value = [...logLines.value.slice(1 - LINES_MAX), line]
}

/** Forgets all lines. */
export function clearLog(): void {
  logLines.value = []
}

/** All lines as text. */
export function logText(): string {
  return logLines.value.map(({ ms, level, text }) => `${clock(ms)}:${String(new Date(ms).getSeconds()).padStart(2, '0')} ${level} ${text}`).join('\n')
}
