import { expect, test } from 'vitest'

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
