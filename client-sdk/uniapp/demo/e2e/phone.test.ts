/** What fingers do, and the ways into a conversation that do not begin at the list. */
import { expect, test } from 'vitest'

import { DESK, PHONE } from './support/browser.ts'
import { useWorld } from './support/world.ts'

const world = useWorld()

test('a swipe over a row offers pin and mute, and a vertical one scrolls', async () => {
  const ann = await (await world.open({ size: PHONE })).register('ann')
  await (await world.open()).register('ben')
  await (await ann.write('ben')).say('swipe me')
  await ann.page.getByRole('button', { name: 'Back' }).click()
  await ann.row(/ben/).waitFor()
  const place = async (): Promise<number> => (await ann.row(/ben/).boundingBox())?.x ?? NaN
  const before = await place()

  await ann.swipe(ann.row(/ben/), 0, -120)
  expect(await place()).toBe(before)
  await ann.swipe(ann.row(/ben/), -60, 0)
  // As wide as both buttons, once the row has come to rest.
  await expect.poll(place, { timeout: 10_000 }).toBeCloseTo(before - 152, 0)
  await ann.page.getByRole('button', { name: 'Pin' }).tap()
  await ann.row(/ben, pinned/).waitFor()
  await expect.poll(place, { timeout: 10_000 }).toBe(before)

  await ann.swipe(ann.row(/ben/), -140, 0)
  await ann.page.getByRole('button', { name: 'Mute' }).tap()
  await ann.row(/ben, pinned, muted/).waitFor()
  // A little is nothing meant.
  await ann.swipe(ann.row(/ben/), -20, 0)
  await expect.poll(place, { timeout: 10_000 }).toBe(before)
  await ann.row(/ben/).tap()
  await ann.composer().waitFor()
})

test('a link to a conversation opens it, on a phone and on a desk', async () => {
  const cleo = await (await world.open({ size: PHONE })).register('cleo')
  await (await world.open()).register('dov')
  await (await cleo.write('dov')).say('behind the link')
  const link = cleo.page.url()
  expect(link).toContain('#/pages/chat/chat?c=d')

  await cleo.page.goto('about:blank')
  await cleo.page.goto(link)
  await cleo.message('behind the link').waitFor()
  await cleo.page.getByRole('button', { name: 'Back' }).click()
  await cleo.row(/dov/).waitFor()

  await cleo.page.setViewportSize(DESK)
  await cleo.page.goto('about:blank')
  await cleo.page.goto(link)
  await cleo.message('behind the link').waitFor()
  await cleo.row(/dov/).waitFor()

  // Somebody who is not signed in comes to the login; a link to nowhere, to the list.
  const stranger = await world.open({ size: PHONE })
  await stranger.page.goto('about:blank')
  await stranger.page.goto(link)
  await stranger.page.getByRole('radio', { name: 'Create account' }).waitFor()
  await cleo.page.goto('about:blank')
  await cleo.page.goto(link.replace(/c=.*/, 'c=nonsense'))
  await cleo.row(/dov/).waitFor()
})

test('what comes while a chat is open is in the list behind it', async () => {
  const eli = await (await world.open({ size: PHONE })).register('eli')
  const fia = await (await world.open()).register('fia')
  const gil = await (await world.open()).register('gil')
  await (await fia.write('eli')).say('first')
  await eli.openRow(/fia/)
  await eli.message('first').waitFor()
  await (await gil.write('eli')).say('second')
  await gil.waitState('second', 'Delivered')
  await eli.page.getByRole('button', { name: 'Back' }).click()
  await eli.row(/gil, 1 unread/).waitFor()
  expect(await eli.page.locator('.list .row .title').allInnerTexts()).toEqual(['gil', 'fia'])
})
