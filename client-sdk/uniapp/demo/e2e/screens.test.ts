/** Takes the pictures of docs/images: `npm run screens`. To be looked at by people; nothing is compared. */
import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'

import { test } from 'vitest'

import { DESK, PHONE, type Person } from './support/browser.ts'
import { useWorld } from './support/world.ts'

const OUT = resolve(import.meta.dirname, '../../../../docs/images')
const world = useWorld()

async function shot(person: Person, name: string): Promise<void> {
  await person.page.waitForTimeout(600)
  await person.page.screenshot({ path: `${OUT}/${name}.png` })
}

test.runIf(process.env['HY_SCREENS'] === '1')('screens in both widths and both themes', async () => {
  await mkdir(OUT, { recursive: true })
  const login = await world.open({ size: DESK })
  await shot(login, 'app-login-desk-light')
  for (const [width, size] of [['desk', DESK], ['phone', PHONE]] as const) {
    const dark = await world.open({ size, dark: true })
    await shot(dark, `app-login-${width}-dark`)
    // The server serves few browsers at once, and each of them holds on to its connections.
    await dark.close()
  }
  await login.close()
  const alice = await (await world.open({ size: DESK })).register('alice', 'Alice Lin')
  await shot(alice, 'app-empty-desk-light')
  const bob = await (await world.open({ size: PHONE, dark: true })).register('bob', 'Bob 王')
  const mei = await (await world.open({ size: PHONE, locale: 'en' })).register('mei', '陈梅')
  await (await alice.write('bob')).say('Morning! Did the letter arrive?', 'I sent it with the north wind.')
  await bob.openRow(/Alice/)
  await bob.say('It did, just before dawn 🪿', '🎉')
  await alice.say('Read it slowly: https://example.org/letters/12')
  await bob.message('Read it slowly').waitFor()
  await mei.write('alice')
  await mei.say('你好，今天去湖边吗？', '天气很好，可以看到大雁。')
  await alice.page.getByRole('button', { name: 'New conversation' }).first().click()
  await alice.page.getByRole('textbox', { name: 'Name of the group' }).fill('Wild geese')
  for (const name of ['bob', 'mei']) {
    await alice.page.getByRole('textbox', { name: 'Members' }).fill(name)
    await alice.page.getByRole('button', { name: 'Add', exact: true }).click()
    await alice.page.getByRole('button', { name: `Remove ${name === 'bob' ? 'Bob 王' : '陈梅'}` }).waitFor()
  }
  await shot(alice, 'app-new-desk-light')
  await alice.page.getByRole('button', { name: 'Create group' }).click()
  // The chat before it stays open behind the panel until the group is made.
  await alice.page.getByRole('button', { name: 'Wild geese, About this group' }).waitFor()
  await alice.say('Meet at the reeds at six?')
  await bob.page.getByRole('button', { name: 'Back' }).click()
  await bob.openRow(/Wild geese/)
  await bob.say('I will bring tea')
  await mei.page.getByRole('button', { name: 'Back' }).click()
  await mei.openRow(/Wild geese/)
  await mei.say('好的，六点见！')
  await alice.message('好的，六点见！').waitFor()
  await shot(alice, 'app-chat-desk-light')
  await shot(bob, 'app-chat-phone-dark')
  await shot(mei, 'app-chat-phone-light')
  await mei.page.getByRole('button', { name: 'About this group' }).first().click()
  await mei.page.getByText('Bob 王').first().waitFor()
  await shot(mei, 'app-group-phone-light')
  await mei.page.getByRole('button', { name: 'Back' }).last().click()
  await mei.page.getByRole('button', { name: 'Back' }).last().click()
  await mei.page.getByRole('button', { name: 'Settings' }).click()
  await mei.page.getByRole('heading', { name: 'Settings' }).waitFor()
  await shot(mei, 'app-settings-phone-light')
  await mei.page.getByRole('button', { name: 'Devices' }).click()
  await mei.page.getByRole('heading', { name: 'This device' }).waitFor()
  await shot(mei, 'app-devices-phone-light')
  await bob.page.getByRole('button', { name: 'Back' }).click()
  await shot(bob, 'app-list-phone-dark')
  await alice.page.getByRole('button', { name: 'About this group' }).first().click()
  await alice.page.getByRole('region', { name: 'Group' }).getByRole('button', { name: 'Actions for Bob 王' }).waitFor()
  await shot(alice, 'app-group-desk-light')
  await alice.page.getByRole('button', { name: 'Close' }).click()
  await alice.page.getByRole('button', { name: 'Settings' }).click()
  await alice.page.getByRole('radio', { name: 'Dark' }).click()
  await shot(alice, 'app-settings-desk-dark')
  await alice.page.getByRole('button', { name: 'Devices' }).click()
  await alice.page.getByRole('heading', { name: 'This device' }).waitFor()
  await shot(alice, 'app-devices-desk-dark')
  await alice.page.getByRole('button', { name: 'Close' }).click()
  await alice.page.getByRole('radio', { name: '中文' }).click()
  await alice.page.getByRole('button', { name: '关闭' }).click()
  await shot(alice, 'app-chat-desk-dark-zh')
  await alice.page.getByRole('textbox', { name: /发消息给/ }).waitFor()
})
