import { expect, test } from 'vitest'

import { TestServer } from './support/server.ts'
import { useWorld } from './support/world.ts'

const world = useWorld()

test('what is written without a network is sent once it is back, once', async () => {
  const alice = await (await world.open({ serverGoesAway: true })).register('alice')
  const bob = await (await world.open()).register('bob')
  await (await alice.write('bob')).say('before')
  await bob.openRow(/alice/)
  await alice.waitState('before', 'Read')

  await alice.context.setOffline(true)
  await bob.say('are you there?')
  await alice.say('one', 'two', 'three')
  await alice.banner('waitingToReconnect').waitFor()
  await alice.waitState('three', 'Waiting for the connection')
  await alice.context.setOffline(false)

  await alice.waitState('three', 'Read')
  await alice.waitLive()
  const expected = ['before', 'are you there?', 'one', 'two', 'three']
  expect(await bob.texts()).toEqual(expected)
  expect(await alice.texts()).toEqual(expected)
})

test('a server that is killed and started again between messages loses nothing', async () => {
  const cora = await (await world.open({ serverGoesAway: true })).register('cora')
  const dora = await (await world.open({ serverGoesAway: true })).register('dora')
  await (await cora.write('dora')).say('m0')
  await dora.openRow(/cora/)
  const expected = ['m0']
  for (let round = 1; round <= 3; round += 1) {
    await cora.say(`m${round}`)
    await world.server.kill()
    await dora.say(`n${round}`)
    await cora.banner('waitingToReconnect').waitFor()
    await world.server.restart()
    for (const person of [cora, dora]) {
      // The button, or the end of the delay: whichever comes first.
      await person.page.getByRole('button', { name: 'Reconnect now' }).first().click({ timeout: 3_000 }).catch(() => undefined)
    }
    await cora.message(`n${round}`).waitFor()
    await dora.message(`m${round}`).waitFor()
    await cora.waitLive()
    await dora.waitLive()
    expected.push(`m${round}`, `n${round}`)
  }
  expect([...(await cora.texts())].sort()).toEqual([...expected].sort())
  expect(await dora.texts()).toEqual(await cora.texts())
})

test('offline by wish says so, keeps what is written, and comes back', async () => {
  const eva = await (await world.open()).register('eva')
  const finn = await (await world.open()).register('finn')
  await eva.write('finn')
  await eva.page.getByRole('button', { name: 'Settings' }).click()
  await eva.page.getByRole('button', { name: 'Diagnostics' }).click()
  await eva.page.getByRole('button', { name: 'Disconnect' }).click()
  await eva.banner('offline').waitFor()
  await eva.page.getByRole('button', { name: 'Close' }).click()
  await eva.page.getByRole('button', { name: 'Close' }).click()
  await eva.say('kept')
  await eva.page.getByText('Not connected: your message is kept').waitFor()
  await eva.page.getByRole('button', { name: 'Reconnect now' }).click()
  await finn.row(/eva, 1 unread/).waitFor()
})

test('a message that was refused says so, and is sent again by a tap', async () => {
  const gus = await (await world.open({ serverGoesAway: true })).register('gus', 'Gus')
  const hob = await (await world.open()).register('hob', 'Hob')
  const group = hob.page.getByRole('region', { name: 'Group' })
  await hob.page.getByRole('button', { name: 'New conversation' }).first().click()
  await hob.page.getByRole('textbox', { name: 'Name of the group' }).fill('Geese')
  await hob.page.getByRole('textbox', { name: 'Members' }).fill('gus')
  await hob.page.getByRole('button', { name: 'Add', exact: true }).click()
  await hob.page.getByRole('button', { name: 'Remove Gus' }).waitFor()
  await hob.page.getByRole('button', { name: 'Create group' }).click()
  await (await gus.openRow(/Geese/)).say('before')
  await hob.message('before').waitFor()

  // Written without a connection, and refused because the writer is no member any more.
  await gus.context.setOffline(true)
  await gus.banner('waitingToReconnect').waitFor()
  await gus.say('too late', 'and this')
  await hob.page.getByRole('button', { name: 'About this group' }).first().click()
  await hob.page.getByRole('button', { name: 'Actions for Gus' }).click()
  await hob.page.getByRole('menuitem', { name: 'Remove from the group' }).click()
  await hob.page.getByRole('alertdialog').getByRole('button', { name: 'Remove from the group' }).click()
  await hob.page.getByText('You removed Gus').first().waitFor()
  await gus.context.setOffline(false)
  await gus.waitState('too late', 'Not sent')
  await gus.waitState('and this', 'Not sent')
  expect(await hob.texts()).toEqual(['before'])

  await group.getByRole('textbox', { name: 'Name' }).last().fill('gus')
  await hob.page.getByRole('button', { name: 'Add', exact: true }).click()
  await gus.composer().waitFor()
  await gus.message('too late').getByText('Send again').click()
  await gus.waitState('too late', 'Read by 1')
  await hob.message('too late').waitFor()
  // The other one is given up by its menu.
  await gus.message('and this').click({ button: 'right' })
  await gus.page.getByRole('menuitem', { name: 'Delete unsent message' }).click()
  await gus.page.getByRole('alertdialog').getByRole('button', { name: 'Delete unsent message' }).click()
  await gus.message('and this').waitFor({ state: 'detached' })
  expect(await hob.texts()).toEqual(['before', 'too late'])
})

test('another server has its own account, and the first one is as it was', async () => {
  const other = await TestServer.start()
  try {
    const ivy = await (await world.open()).register('ivy', 'Ivy here')
    await (await world.open()).register('jon')
    await (await ivy.write('jon')).say('on the first server')
    const { page } = ivy
    const address = page.getByRole('textbox', { name: 'Address' })
    await page.getByRole('button', { name: 'Settings' }).click()
    await address.fill('not an address')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('An address looks like').first().waitFor()
    await address.fill(other.socket)
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText(`Server ${other.socket}`).waitFor()

    await ivy.register('ivy', 'Ivy there')
    await page.getByText('Quiet skies').waitFor()
    await page.reload()
    await ivy.search().waitFor()
    expect(await ivy.row(/jon/).count()).toBe(0)

    await page.getByRole('button', { name: 'Settings' }).click()
    await page.getByText('Ivy there').first().waitFor()
    await page.getByRole('button', { name: 'Use the default' }).click()
    await (await ivy.openRow(/jon/)).message('on the first server').waitFor()
    await ivy.say('and again')
    await ivy.waitState('and again', 'Delivered')
  } finally {
    await other.stop()
  }
})
