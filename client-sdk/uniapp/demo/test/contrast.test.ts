import { readFileSync } from 'node:fs'

import { expect, test } from 'vitest'

const source = readFileSync(new URL('../src/theme/tokens.scss', import.meta.url), 'utf8')

function tokens(theme: string): Map<string, string> {
  const block = new RegExp(`@mixin ${theme} \\{([^}]*)\\}`).exec(source)?.[1] ?? ''
  return new Map([...block.matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map((match) => [match[1] ?? '', match[2] ?? '']))
}

function light(color: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const part = parseInt(color.slice(at, at + 2), 16) / 255
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

const PAIRS = [
  ['ink', 'paper'], ['ink', 'surface'], ['ink', 'raised'], ['ink', 'sunken'], ['ink', 'selected'],
  ['ink-soft', 'surface'], ['ink-soft', 'sunken'], ['ink-soft', 'selected'], ['ink-faint', 'paper'], ['ink-faint', 'surface'], ['ink-faint', 'raised'],
  ['on-accent', 'accent'], ['accent', 'surface'], ['mine-ink', 'mine'], ['on-badge', 'badge'], ['badge', 'surface'],
  ['warn-ink', 'warn-bg'], ['danger', 'danger-bg'], ['danger', 'surface'], ['good', 'surface'],
] as const

test.each(['light', 'dark'])('text of the %s theme can be read (WCAG AA)', (theme) => {
  const colors = tokens(theme)
  const weak = PAIRS.filter(([text, back]) => {
    const [high = 0, low = 0] = [light(colors.get(text) ?? ''), light(colors.get(back) ?? '')].sort((a, b) => b - a)
    return !((high + 0.05) / (low + 0.05) >= 4.5)
  })
  expect(weak).toEqual([])
})
