import { expect, test } from 'vitest'

import { PASSWORD, PHONE } from './support/browser.ts'
import { useWorld } from './support/world.ts'

const world = useWorld()

test('two people chat both ways and see unread and read marks', async () => {
  const alice = await (await world.open()).register('alice', 'Alice Lin')
  const bob = await (await world.open({ size: PHONE, dark: true })).register('bob', 'Bob 王')

  await (await alice.write('bob')).say('hello', 'the geese are over the lake')
  await bob.row(/Alice Lin, 2 unread/).waitFor()
  expect(await bob.page.title()).toBe('(2) Hongyan')
  await alice.waitState('the geese are over the lake', 'Delivered')

  await bob.openRow(/Alice Lin/)
  await alice.waitState('hello', 'Read')
  await alice.waitState('the geese are over the lake', 'Read')
  await bob.say('I see them 🪿')
  await alice.message('I see them 🪿').waitFor()
  await bob.waitState('I see them 🪿', 'Read')

  expect(await alice.texts()).toEqual(['hello', 'the geese are over the lake', 'I see them 🪿'])
  expect(await bob.texts()).toEqual(['hello', 'the geese are over the lake', 'I see them 🪿'])
  expect(await alice.row(/unread/).count()).toBe(0)
})

test('quick typing with Enter loses nothing; Shift-Enter is a new line', async () => {
  const cora = await (await world.open()).register('cora')
  const dora = await (await world.open()).register('dora')
  await cora.write('dora')
  for (const text of ['one after', 'the other']) {
    await cora.page.keyboard.type(text)
    await cora.page.keyboard.press('Enter')
  }
  await cora.page.keyboard.type('two')
  await cora.page.keyboard.press('Shift+Enter')
  await cora.page.keyboard.type('lines')
  await cora.page.keyboard.press('Enter')
  await dora.row(/cora, 3 unread/).waitFor()
  await dora.openRow(/cora/)
  await dora.message('lines').waitFor()
  expect(await dora.texts()).toEqual(['one after', 'the other', 'two\nlines'])
})

test('a login says what is wrong', async () => {
  const eve = await world.open()
  const { page } = eve
  await page.getByRole('radio', { name: 'Create account' }).click()
  await page.getByRole('textbox', { name: 'Name' }).fill('no spaces please')
  await page.getByRole('textbox', { name: 'Password' }).fill('short')
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.getByText('Use 3 to 32 of').waitFor()
  await page.getByText('The password needs 8 to 256 characters.').waitFor()

  await eve.register('eve')
  const other = await world.open()
  await other.page.getByRole('textbox', { name: 'Name' }).fill('eve')
  await other.page.getByRole('textbox', { name: 'Password' }).fill('not the password')
  await other.page.getByRole('button', { name: 'Sign in' }).click()
  await other.page.getByText('The name or the password is wrong.').waitFor()

  await other.page.getByRole('radio', { name: 'Create account' }).click()
  await other.page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
  await other.page.getByRole('button', { name: 'Create account' }).click()
  await other.page.getByText('This name is taken.').waitFor()
})

test('a draft waits in its conversation and survives a reload', async () => {
  const fay = await (await world.open()).register('fay')
  await (await world.open()).register('gil')
  await (await fay.write('gil')).say('first')
  await fay.composer().fill('not yet sent')
  await fay.page.waitForTimeout(1_000)
  await fay.page.reload()
  await fay.row(/gil, Draft: not yet sent/).waitFor()
  await fay.openRow(/gil/)
  expect(await fay.composer().inputValue()).toBe('not yet sent')
})

test('pins and mutes stay, and come by the menu of a row', async () => {
  const hal = await (await world.open()).register('hal')
  await (await world.open()).register('ida')
  await (await world.open()).register('jan')
  await (await hal.write('ida')).say('to ida')
  await (await hal.write('jan')).say('to jan')
  await hal.row(/ida/).click({ button: 'right' })
  await hal.page.getByRole('menuitem', { name: 'Pin' }).click()
  await hal.row(/ida, pinned/).waitFor()
  await hal.row(/jan/).click({ button: 'right' })
  await hal.page.getByRole('menuitem', { name: 'Mute' }).click()
  await hal.row(/jan, muted/).waitFor()
  await hal.page.reload()
  await hal.row(/jan, muted/).waitFor()
  expect(await hal.page.locator('.list .row .title').allInnerTexts()).toEqual(['ida', 'jan'])
})

test('the keyboard reaches a message, its menu and its details', async () => {
  const kim = await (await world.open()).register('kim')
  await (await world.open()).register('lea')
  await (await kim.write('lea')).say('press me')
  await kim.waitState('press me', 'Delivered')
  await kim.page.getByRole('list', { name: 'Messages of lea' }).focus()
  await kim.page.keyboard.press('ArrowUp')
  await kim.page.keyboard.press('Enter')
  const details = kim.page.getByRole('menuitem', { name: 'Details' })
  await details.waitFor()
  await kim.page.keyboard.press('Escape')
  await details.waitFor({ state: 'detached' })
  await kim.page.keyboard.press('Enter')
  await kim.page.keyboard.press('ArrowDown')
  await kim.page.keyboard.press('Enter')
  await kim.page.getByRole('region', { name: 'Message details' }).waitFor()
  await kim.page.getByText('Place in the conversation').waitFor()
})
