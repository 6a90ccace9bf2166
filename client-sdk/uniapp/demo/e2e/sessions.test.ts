import { expect, test } from 'vitest'

import { useWorld } from './support/world.ts'

// As short as a server allows.
const ACCESS_SECONDS = 10
const world = useWorld({ HONGYAN_AUTH__ACCESS_TOKEN_SECONDS: String(ACCESS_SECONDS) })

const REFRESH = 19

test('an expired access token is refreshed, and nobody notices', async () => {
  const alice = await (await world.open()).register('alice')
  const bob = await (await world.open()).register('bob')
  await (await alice.write('bob')).say('before')
  await bob.row(/alice, 1 unread/).waitFor()
  await alice.page.waitForTimeout((ACCESS_SECONDS + 1) * 1_000)
  expect(alice.sent).not.toContain(REFRESH)

  await alice.page.reload()
  await alice.openRow(/bob/)
  await alice.say('after')
  await bob.row(/alice, 2 unread/).waitFor()
  expect(alice.sent.filter((opcode) => opcode === REFRESH)).toHaveLength(1)
})

test('the same account in two browsers shows the same, and signs the other out', async () => {
  const first = await (await world.open()).register('cora')
  const dora = await (await world.open()).register('dora')
  const second = await (await world.open()).login('cora')

  await (await first.write('dora')).say('from the first')
  await second.openRow(/dora/)
  await second.message('from the first').waitFor()
  await second.say('from the second')
  await first.message('from the second').waitFor()
  expect(await first.texts()).toEqual(await second.texts())

  await first.page.getByRole('button', { name: 'Settings' }).click()
  await dora.openRow(/cora, 2 unread/)
  await dora.say('hello both')
  await first.row(/dora/).waitFor()
  await second.message('hello both').waitFor()
  // Read on one device is read on all.
  await first.page.waitForFunction(() => document.querySelector('.list .badge') === null)

  await first.page.getByRole('button', { name: 'Devices' }).click()
  await first.page.getByRole('region', { name: 'Devices' }).getByRole('button', { name: 'Sign out' }).click()
  await first.page.getByRole('alertdialog').getByRole('button', { name: 'Sign out' }).click()
  await second.page.getByText('You were signed out on this device.').waitFor()
  await first.page.getByText('You are signed in on this device only.').waitFor()
})

test('a second tab takes over, and the first can take it back', async () => {
  const first = await (await world.open()).register('eve')
  await (await world.open()).register('fay')
  await (await first.write('fay')).say('in the first tab')
  const second = await world.tab(first)
  await second.openRow(/fay/)
  await second.message('in the first tab').waitFor()
  await first.page.getByText('Opened somewhere else').first().waitFor()
  await second.say('in the second tab')
  await first.page.getByRole('button', { name: 'Use it here' }).first().click()
  await first.openRow(/fay/)
  await first.message('in the second tab').waitFor()
  await second.page.getByText('Opened somewhere else').first().waitFor()
})

test('the JSON sub-protocol works from the console of a page', async () => {
  const page = (await world.open()).page
  const answers = await page.evaluate(async (url) => {
    const socket = new WebSocket(url, 'hongyan.v1+json')
    const got: { request?: string; message?: string; payload?: Record<string, unknown> }[] = []
    const reply = (request: string) =>
      new Promise<(typeof got)[number]>((done) => {
        const look = (): void => {
          const found = got.find((frame) => frame.request === request)
          if (found) done(found)
          else setTimeout(look, 10)
        }
        look()
      })
    socket.onmessage = ({ data }) => got.push(JSON.parse(String(data)))
    await new Promise((done) => (socket.onopen = done))
    const say = (frame: unknown): void => socket.send(JSON.stringify(frame))
    say({ name: 'Hello', request: 1, payload: { client: 'console', device: { id: 'console-1' } } })
    const welcome = await reply('1')
    say({ name: 'Register', request: 2, payload: { name: 'console', password: 'correct horse' } })
    const session = await reply('2')
    say({ name: 'FindUser', request: 3, payload: { name: 'console' } })
    const found = await reply('3')
    socket.close()
    return { protocol: socket.protocol, welcome, session, found }
  }, world.server.socket)
  expect(answers.protocol).toBe('hongyan.v1+json')
  expect(answers.welcome.message).toBe('Welcome')
  expect(answers.session.payload?.['name']).toBe('console')
  expect(answers.found.payload?.['profiles']).toMatchObject([{ user: answers.session.payload?.['userId'], name: 'console' }])
})
