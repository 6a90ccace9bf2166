import { expect, test } from 'vitest'

import { PASSWORD } from './support/browser.ts'
import { Script } from './support/script.ts'
import { useWorld } from './support/world.ts'

const world = useWorld()
const COUNT = 2_000
/** Far fewer rows than messages are ever drawn. */
const DRAWN_MAX = 160

test('a history of 2,000 messages pages in, keeps its place, and is whole', async () => {
  const alice = await (await world.open()).register('alice')
  const bob = await Script.register(world.server.socket, 'bob', PASSWORD)
  await bob.sendAll('alice', Array.from({ length: COUNT }, (_, index) => `line ${index + 1}`))
  bob.close()
  await alice.openRow(/bob/)
  await alice.message(`line ${COUNT}`).waitFor()

  const { page } = alice
  const seen = new Set<number>()
  const look = async (): Promise<number> => {
    const numbers = (await alice.texts()).map((text) => Number(text.replace('line ', '')))
    for (const number of numbers) seen.add(number)
    expect(numbers.length).toBeLessThan(DRAWN_MAX)
    // In order and without a gap, wherever the list stands.
    numbers.forEach((number, index) => expect(number).toBe((numbers[0] ?? 0) + index))
    return numbers[0] ?? 0
  }
  const place = (text: string) =>
    page.evaluate((wanted) => {
      const found = [...document.querySelectorAll('.timeline .message')].find((row) => row.querySelector('.text')?.textContent === wanted)
      return found === undefined ? null : found.getBoundingClientRect().top
    }, text)

  await page.locator('.timeline .scroller').hover()
  await look()
  for (let step = 0; step < 400 && !seen.has(1); step += 1) {
    await page.mouse.wheel(0, -900)
    // Two frames: the list has drawn what is there now.
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
    const top = await look()
    const anchor = `line ${top + 15}`
    const before = await place(anchor)
    if (await page.getByText('Loading messages').count()) {
      await page.getByText('Loading messages').waitFor({ state: 'detached' })
      const after = await place(anchor)
      if (before !== null && after !== null) expect(Math.abs(after - before)).toBeLessThanOrEqual(1)
    }
  }
  await look()
  expect(seen.size).toBe(COUNT)
  await page.getByText('This is the beginning').waitFor()
})

test('a conversation longer than what is kept of it is read to its beginning, and back', async () => {
  const LONG = 5_300
  const eva = await (await world.open()).register('eva')
  const finn = await Script.register(world.server.socket, 'finn', PASSWORD)
  await finn.sendAll('eva', Array.from({ length: LONG }, (_, index) => `line ${index + 1}`))
  await eva.openRow(/finn/)
  await eva.message(`line ${LONG}`).waitFor()
  const { page } = eva
  const box = page.locator('.timeline .scroller')
  const check = async (): Promise<number[]> => {
    const numbers = (await eva.texts()).map((text) => Number(text.replace('line ', '')))
    expect(await page.locator('.timeline .vrow').count()).toBeLessThan(DRAWN_MAX)
    numbers.forEach((number, index) => expect(number).toBe((numbers[0] ?? 0) + index))
    return numbers
  }
  const loaded = (): Promise<void> => page.getByText('Loading messages').waitFor({ state: 'detached' })
  await box.focus()
  for (let step = 0; step < 120 && (await page.getByText('This is the beginning').count()) === 0; step += 1) {
    await page.keyboard.press('Home')
    await loaded()
    await check()
  }
  await eva.message('line 1').waitFor()

  // Down again: the newest that were given up are paged in.
  for (let step = 0; step < 60 && !(await check()).includes(LONG); step += 1) {
    await box.evaluate((scroller) => (scroller.scrollTop = scroller.scrollHeight))
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
    await loaded()
  }
  await eva.message(`line ${LONG}`).waitFor()

  // Or at once, by the pill, which counts what came meanwhile.
  for (let step = 0; step < 120 && (await page.getByText('This is the beginning').count()) === 0; step += 1) {
    await page.keyboard.press('Home')
    await loaded()
  }
  await finn.sendAll('eva', ['line 5301', 'line 5302'])
  await page.getByRole('button', { name: '2 new' }).click()
  await eva.message('line 5302').waitFor()
  await page.getByRole('button', { name: 'To the newest message' }).waitFor({ state: 'detached' })
  await check()
  finn.close()
})

test('new messages do not move what is read, and wait behind a pill', async () => {
  const cora = await (await world.open()).register('cora')
  const dan = await Script.register(world.server.socket, 'dan', PASSWORD)
  await dan.sendAll('cora', Array.from({ length: 120 }, (_, index) => `line ${index + 1}`))
  await cora.openRow(/dan/)
  await cora.message('line 120').waitFor()
  const box = cora.page.locator('.timeline .scroller')
  await box.hover()
  // The list may still be measuring: whoever scrolls goes on until it moves.
  for (let turn = 0; turn < 20 && (await cora.page.getByRole('button', { name: 'To the newest message' }).count()) === 0; turn += 1) {
    await cora.page.mouse.wheel(0, -700)
    await cora.page.waitForTimeout(150)
  }
  await cora.page.waitForTimeout(500)
  // A message in the middle of the screen, and where it is.
  const middle = () =>
    box.evaluate((scroller) => {
      const { top, height } = scroller.getBoundingClientRect()
      const row = [...scroller.querySelectorAll('.message')].find((one) => one.getBoundingClientRect().top > top + height / 2)
      return { text: row?.querySelector('.text')?.textContent ?? '', top: row?.getBoundingClientRect().top ?? 0 }
    })
  const before = await middle()
  await dan.sendAll('cora', ['news one', 'news two', 'news three'])
  const pill = cora.page.getByRole('button', { name: '3 new' })
  await pill.waitFor()
  const after = await middle()
  expect(after.text).toBe(before.text)
  expect(Math.abs(after.top - before.top)).toBeLessThanOrEqual(1)
  await pill.click()
  await cora.message('news three').waitFor()
  await pill.waitFor({ state: 'detached' })
  dan.close()
})

test('ten thousand messages are a list of a few', async () => {
  const page = (await world.open()).page
  await page.goto('about:blank')
  await page.goto(`${world.server.page}#/pages/panel/panel?kind=stress`)
  const box = page.locator('.timeline .scroller')
  await page.getByText(/^10000 /).waitFor()
  await box.focus()
  await page.keyboard.press('Home')
  await page.getByText(/^1 /).first().waitFor()
  for (const part of [0.2, 0.5, 0.9]) {
    await page.waitForTimeout(600)
    await box.evaluate((scroller, wanted) => (scroller.scrollTop = scroller.scrollHeight * wanted), part)
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
    expect(await page.locator('.timeline .vrow').count()).toBeLessThan(DRAWN_MAX)
  }
  // Rows that were never measured come in above: what is looked at moves as far as was scrolled, and no further.
  const STEP = 400
  await box.evaluate((scroller) => (scroller.scrollTop = scroller.scrollHeight / 2))
  await page.waitForTimeout(700)
  const moves = await box.evaluate(async (scroller, step) => {
    const found: number[] = []
    const frames: number[] = []
    for (let turn = 0; turn < 40; turn += 1) {
      const middle = scroller.getBoundingClientRect().top + scroller.clientHeight / 2
      const row = [...scroller.querySelectorAll('.vrow')].find((one) => one.getBoundingClientRect().bottom > middle - step)
      const before = row?.getBoundingClientRect().top ?? 0
      scroller.scrollTop -= step
      for (let frame = 0; frame < 3; frame += 1) {
        const begin = performance.now()
        await new Promise((done) => requestAnimationFrame(done))
        frames.push(performance.now() - begin)
        // After what was measured in this frame was corrected: this is what is painted.
        await new Promise((done) => setTimeout(done, 0))
        found.push(Math.round((row?.isConnected === true ? row.getBoundingClientRect().top : NaN) - before))
      }
    }
    frames.sort((a, b) => a - b)
    const at = (part: number): string => (frames[Math.floor(frames.length * part)] ?? 0).toFixed(1)
    return { found, frames: `median ${at(0.5)} ms, p95 ${at(0.95)} ms, longest ${at(0.999)} ms` }
  }, STEP)
  for (const move of moves.found) expect(Math.abs(move - STEP)).toBeLessThanOrEqual(1)
  // How long frames took is told, never judged: it is the machine's affair as well.
  console.log(`frames while 10,000 messages scroll: ${moves.frames}`)
  await box.focus()
  await page.keyboard.press('End')
  await page.getByText(/^10000 /).waitFor()
})
