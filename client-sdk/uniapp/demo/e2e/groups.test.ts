import { expect, test } from 'vitest'

import { PHONE } from './support/browser.ts'
import { useWorld } from './support/world.ts'

const world = useWorld()

test('a group of three: made, read by all, led, and left', async () => {
  const alice = await (await world.open()).register('alice', 'Alice')
  const bob = await (await world.open({ size: PHONE })).register('bob', 'Bob')
  const cora = await (await world.open()).register('cora', 'Cora')

  await alice.page.getByRole('button', { name: 'New conversation' }).first().click()
  await alice.page.getByRole('textbox', { name: 'Name of the group' }).fill('Wild geese')
  for (const name of ['bob', 'cora']) {
    await alice.page.getByRole('textbox', { name: 'Members' }).fill(name)
    await alice.page.getByRole('button', { name: 'Add', exact: true }).click()
    await alice.page.getByRole('button', { name: `Remove ${name === 'bob' ? 'Bob' : 'Cora'}` }).waitFor()
  }
  await alice.page.getByRole('button', { name: 'Create group' }).click()
  await alice.say('who is in?')

  await bob.openRow(/Wild geese/)
  await cora.openRow(/Wild geese/)
  await alice.waitState('who is in?', 'Read by 2')
  await bob.say('me')
  await cora.say('me too')
  await alice.message('me too').waitFor()
  expect(await alice.texts()).toEqual(['who is in?', 'me', 'me too'])
  expect(await cora.texts()).toEqual(['who is in?', 'me', 'me too'])

  await alice.page.getByRole('button', { name: 'About this group' }).first().click()
  await alice.page.getByRole('button', { name: 'Actions for Cora' }).click()
  await alice.page.getByRole('menuitem', { name: 'Make admin' }).click()
  await cora.page.getByRole('list', { name: 'Messages of Wild geese' }).getByText('Alice made you admin').waitFor()

  await bob.page.getByRole('button', { name: 'About this group' }).first().click()
  await bob.page.getByRole('button', { name: 'Leave group' }).click()
  await bob.page.getByRole('alertdialog').getByRole('button', { name: 'Leave group' }).click()
  await cora.page.getByRole('list', { name: 'Messages of Wild geese' }).getByText('Bob left').waitFor()
  await cora.page.getByText('2 members').first().waitFor()
})

test('newcomers see older messages only where the group says so', async () => {
  const dan = await (await world.open()).register('dan')
  const eli = await (await world.open()).register('eli')
  await dan.page.getByRole('button', { name: 'New conversation' }).first().click()
  await dan.page.getByRole('textbox', { name: 'Name of the group' }).fill('Quiet')
  await dan.page.getByRole('switch', { name: 'New members see older messages' }).click()
  await dan.page.getByRole('button', { name: 'Create group' }).click()
  await dan.say('before')
  await dan.page.getByRole('button', { name: 'About this group' }).first().click()
  await dan.page.getByRole('region', { name: 'Group' }).getByRole('textbox', { name: 'Name' }).last().fill('eli')
  await dan.page.getByRole('button', { name: 'Add', exact: true }).click()
  await dan.page.getByText('eli is in the group now').waitFor()
  await dan.page.getByRole('button', { name: 'Close' }).click()
  await dan.say('after')
  await eli.openRow(/Quiet/)
  await eli.message('after').waitFor()
  expect(await eli.texts()).toEqual(['after'])
})
