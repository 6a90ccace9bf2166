import { expect, test } from 'vitest'

import { byteLength, onlyEmoji, pieces } from '../src/chat/text'
import { en } from '../src/i18n/en'
import { daysBetween } from '../src/i18n/time'
import { zh } from '../src/i18n/zh'

test('links end before the punctuation of the sentence', () => {
  expect(pieces('see https://a.example/x, or (https://b.example)。')).toEqual([
    { text: 'see ', href: '' },
    { text: 'https://a.example/x', href: 'https://a.example/x' },
    { text: ', or (', href: '' },
    { text: 'https://b.example', href: 'https://b.example' },
    { text: ')。', href: '' },
  ])
  expect(pieces('')).toEqual([{ text: '', href: '' }])
})

test('bytes are those of UTF-8', () => {
  for (const text of ['', 'a', 'é', '鸿雁', '🪿', 'a é 鸿 👩‍🚀']) expect(byteLength(text)).toBe(new TextEncoder().encode(text).length)
})

test('a few emoji alone are drawn large, text is not', () => {
  expect(['🪿', '🎉🎉', '❤️ 👍🏽'].every(onlyEmoji)).toBe(true)
  expect(['', 'a', '🪿 goose', '1', '🎉🎉🎉🎉'].some(onlyEmoji)).toBe(false)
})

test('days are those of the calendar', () => {
  expect(daysBetween(new Date(2026, 0, 31, 23, 59).getTime(), new Date(2026, 1, 1, 0, 1).getTime())).toBe(1)
})

test('both languages fill the same places of every text', () => {
  const places = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort()
  const differ = (Object.keys(en) as (keyof typeof en)[]).filter((key) => places(en[key]).join() !== places(zh[key]).join())
  expect(differ).toEqual([])
})
