/** Times as people write them. Plain arithmetic: mini-programs on some phones have no `Intl`. */
import { t } from './index'

const two = (value: number): string => String(value).padStart(2, '0')

/** `09:05` */
export function clock(ms: number): string {
  const date = new Date(ms)
  return `${two(date.getHours())}:${two(date.getMinutes())}`
}

/** Days between the calendar days of two moments, in local time. */
export function daysBetween(earlier: number, later: number): number {
  const from = new Date(earlier)
  const to = new Date(later)
  const days = Date.UTC(to.getFullYear(), to.getMonth(), to.getDate()) - Date.UTC(from.getFullYear(), from.getMonth(), from.getDate())
  return Math.round(days / 86_400_000)
}

/** Whether two moments are on the same local day. */
export function sameDay(a: number, b: number): boolean {
  return daysBetween(a, b) === 0
}

/** A day as a separator shows it: Today, Yesterday, a weekday of the last week, or a date. */
export function day(ms: number, now: number): string {
  const ago = daysBetween(ms, now)
  if (ago === 0) return t('time.today')
  if (ago === 1) return t('time.yesterday')
  const date = new Date(ms)
  if (ago > 1 && ago < 7) return t('time.weekdays').split(',')[date.getDay()] ?? ''
  const values = {
    day: date.getDate(),
    month: t('time.months').split(',')[date.getMonth()] ?? '',
    year: date.getFullYear(),
  }
  return t(date.getFullYear() === new Date(now).getFullYear() ? 'time.dayMonth' : 'time.dayMonthYear', values)
}

/** A moment as a list shows it: the clock today, the day before that. */
export function brief(ms: number, now: number): string {
  return sameDay(ms, now) ? clock(ms) : day(ms, now)
}

/** A moment in full: day and clock. */
export function full(ms: number, now: number): string {
  return sameDay(ms, now) ? clock(ms) : `${day(ms, now)} ${clock(ms)}`
}
