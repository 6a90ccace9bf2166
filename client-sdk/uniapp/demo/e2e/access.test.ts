/** Every screen, in both themes and both widths, as axe-core sees it. */
import { expect, test } from 'vitest'

import { objections } from './support/access.ts'
import { DESK, PHONE, type Person } from './support/browser.ts'
import { useWorld } from './support/world.ts'

const world = useWorld()

/** Notes what axe objects to on each screen that a person comes to. */
class Walk {
  readonly found: string[] = []

  constructor(readonly person: Person) {}

  async look(screen: string): Promise<void> {
    for (const one of await objections(this.person.page)) this.found.push(`${screen}: ${one}`)
  }
}

test.each([
  ['a phone, light', PHONE, false],
  ['a phone, dark', PHONE, true],
  ['a desk, light', DESK, false],
  ['a desk, dark', DESK, true],
])('nothing on any screen is in the way: %s', async (name, size, dark) => {
  const me = `me${size.width}${String(dark)}`
  const peer = `peer${size.width}${String(dark)}`
  const walk = new Walk(await world.open({ size, dark, serverGoesAway: true }))
  const { person } = walk
  const { page } = person
  const phone = size === PHONE
  const back = async (): Promise<void> => {
    const from = page.url()
    await page.getByRole('button', { name: phone ? 'Back' : 'Close' }).last().click()
    // On a phone the page below is there once the address is its own, and nothing of the page above is left.
    if (phone) await page.waitForFunction((url) => location.href !== url && document.querySelectorAll('uni-page:not([style*="display: none"])').length === 1, from)
  }

  await page.getByRole('radio', { name: 'Create account' }).click()
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.getByText('Use 3 to 32 of').waitFor()
  await walk.look('login with errors')
  await person.register(me, 'Me')
  await walk.look('empty list')

  const other = await (await world.open()).register(peer, 'Peer 王')
  await (await other.write(me)).say('hello 🪿', 'see https://example.org')
  await person.row(/Peer 王, 2 unread/).waitFor()
  await walk.look('list')
  await person.openRow(/Peer 王/)
  await person.say('an answer', '🎉')
  await person.waitState('an answer', 'Read')
  await walk.look('chat')
  await page.getByRole('switch', { name: 'Emoji' }).click()
  await walk.look('chat with emoji')
  await page.getByRole('switch', { name: 'Emoji' }).click()
  await person.message('an answer').click({ button: 'right' })
  await page.getByRole('menuitem', { name: 'Details' }).waitFor()
  await walk.look('menu')
  await page.getByRole('menuitem', { name: 'Details' }).click()
  await page.getByText('Place in the conversation').waitFor()
  await walk.look('details')
  await back()
  if (phone) await back()

  await page.getByRole('button', { name: 'New conversation' }).first().click()
  await page.getByRole('textbox', { name: 'Name of the group' }).fill('Geese')
  await page.getByRole('textbox', { name: 'Members' }).fill(peer)
  await page.getByRole('button', { name: 'Add', exact: true }).click()
  await page.getByRole('button', { name: 'Remove Peer 王' }).waitFor()
  await walk.look('new')
  await page.getByRole('button', { name: 'Create group' }).click()
  // On a desk the chat before it stays open behind the panel until the group is made.
  await page.getByRole('button', { name: 'Geese, About this group' }).waitFor()
  await person.say('to all')
  await walk.look('group chat')
  await page.getByRole('button', { name: 'About this group' }).first().click()
  await page.getByRole('region', { name: 'Group' }).getByRole('button', { name: 'Actions for Peer 王' }).waitFor()
  await walk.look('group')
  await page.getByRole('button', { name: 'Dissolve' }).click()
  await page.getByRole('alertdialog').waitFor()
  await walk.look('question')
  await page.getByRole('alertdialog').getByRole('button', { name: 'Cancel' }).click()
  await back()
  if (phone) await back()

  await page.getByRole('button', { name: 'Settings' }).click()
  await page.getByRole('heading', { name: 'Settings' }).last().waitFor()
  await walk.look('settings')
  for (const panel of ['Devices', 'Change password', 'Diagnostics']) {
    await page.getByRole('button', { name: panel }).click()
    await page.getByRole('heading', { name: panel }).last().waitFor()
    await walk.look(panel)
    if (panel !== 'Diagnostics') await back()
  }
  await page.getByRole('button', { name: 'Disconnect' }).click()
  await person.banner('offline').waitFor()
  await walk.look('offline')
  expect(walk.found, name).toEqual([])
})
