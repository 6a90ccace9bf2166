import { expect, test } from 'vitest'

import { Heights } from '../src/virtual/heights'

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `k${index}`)

test('offsets and places agree with plain sums, whatever is measured', () => {
  const heights = new Heights(50)
  heights.setKeys(keys(500))
  const plain = keys(500).map(() => 50)
  for (let step = 0; step < 300; step += 1) {
    const index = (step * 197) % 500
    const height = 20 + ((step * 31) % 90)
    heights.measure(index, height)
    plain[index] = height
  }
  let sum = 0
  plain.forEach((height, index) => {
    expect(heights.offset(index)).toBe(sum)
    expect(heights.indexAt(sum)).toBe(index)
    expect(heights.indexAt(sum + height - 1)).toBe(index)
    sum += height
  })
  expect(heights.total).toBe(sum)
})

test('known heights stay with their rows when others come above them', () => {
  const heights = new Heights(50)
  heights.setKeys(['b', 'c'])
  heights.measure(0, 80)
  heights.measure(1, 40)
  heights.setKeys(['a', 'b', 'c'])
  expect(heights.offset(1)).toBe(60)
  expect(heights.offset(2)).toBe(140)
  expect(heights.total).toBe(180)
})

test('an empty list has one answer for every question', () => {
  const heights = new Heights(50)
  heights.setKeys([])
  expect([heights.total, heights.indexAt(99), heights.measure(3, 10)]).toEqual([0, 0, 0])
})
