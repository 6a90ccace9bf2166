/** The mini-program that was built, in the language of a phone and against the real server: from the icon to an echo. */
import { resolve } from 'node:path'

import { createClient, webSocketTransport, type Client, type WebSocketConstructor } from '@hongyan/client'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'

import { MiniProgram } from './mini/program.ts'
import { PASSWORD } from './support/browser.ts'
import { TestServer } from './support/server.ts'

const BUILT = resolve(import.meta.dirname, '../dist/build/mp-weixin')

let server: TestServer
let echo: Client
let running: MiniProgram[] = []

beforeAll(async () => {
  server = await TestServer.start()
  echo = await createClient({ url: server.socket, transport: webSocketTransport({ WebSocket: WebSocket as unknown as WebSocketConstructor }) })
  await echo.register('echo', PASSWORD, 'Echo 回声')
  await echo.waitLive()
  echo.on('message', ({ conversation, body, sender }) => {
    if (body.kind !== 'text' || sender === echo.account?.user) return
    echo.markRead(conversation)
    void echo.sendText(conversation, `echo: ${body.text}`)
  })
})
afterEach(() => {
  for (const program of running) program.close()
  running = []
})
afterAll(async () => {
  await echo?.shutdown()
  await server?.stop()
})

function start(storage: Readonly<Record<string, unknown>> = {}, edit?: (file: string, code: string) => string): MiniProgram {
  const program = MiniProgram.start(BUILT, { 'hongyan.server': server.socket, ...storage }, edit)
  running.push(program)
  return program
}

/** Makes an account on the login page. */
async function register(program: MiniProgram, name: string): Promise<void> {
  await program.until('the login', () => program.route === 'pages/login/login')
  await program.tap('radio', 'Create account')
  await program.fill('Name', name)
  await program.fill('Password', PASSWORD)
  await program.tap('button', 'Create account')
  await program.until('the list', () => program.route === 'pages/home/home')
}

test('from the icon to an echo, and still there after a restart', async () => {
  const program = start()
  await register(program, 'mini')
  await program.fill('Search chats or find a person', 'echo')
  await program.tap('button', 'Find “echo” on the server')
  await program.until('the chat', () => program.route === 'pages/chat/chat')
  await program.fill(/^Message /, '你好 👩‍🚀 🪿')
  await program.tap('button', 'Send')
  const said = await program.until('the echo', () => {
    const texts = program.texts('bubble')
    return texts.some((text) => text.startsWith('echo: ')) && texts
  })
  expect(said.map((text) => text.replace(/\d\d:\d\d.*$/s, ''))).toEqual(['你好 👩‍🚀 🪿', 'echo: 你好 👩‍🚀 🪿'])
  await program.until('the read mark', () => program.texts('bubble')[0]?.endsWith('Read'))
  await program.tap('button', 'Back')
  await program.until('the list', () => program.route === 'pages/home/home')
  await program.until('the row', () => program.texts('preview')[0] === 'echo: 你好 👩‍🚀 🪿')
  expect(program.complaints).toEqual([])
  program.close()

  const again = start(Object.fromEntries(program.storage))
  await again.tap('button', /Echo 回声, echo: 你好/)
  await again.until('the chat', () => again.texts('bubble').length === 2)
  await again.fill(/^Message /, 'once more')
  await again.tap('button', 'Send')
  await again.until('the second echo', () => again.texts('bubble').some((text) => text.startsWith('echo: once more')))
  expect(again.complaints).toEqual([])
})

// What was built must not need them; and this test must notice if it did.
test.each([
  ['TextEncoder', 'new TextEncoder()'],
  ['TextDecoder', 'new TextDecoder()'],
  ['BigInt', 'BigInt(1)'],
  ['globalThis', 'globalThis.setTimeout'],
  ['crypto', 'crypto.getRandomValues'],
  ['document', 'document.title'],
  ['Code generation from strings', 'new Function("return 1")()'],
])('a program that uses %s does not come up', (name, code) => {
  expect(() => start({}, (file, text) => (file === 'chat/text.js' ? `${text};${code};` : text))).toThrow(name)
})

test('a screen that hands functions to WeChat is noticed', async () => {
  const program = start()
  const { script } = await program.until('the first page', () => program.nodes()[0]?.owner)
  expect(() => (script['setData'] as (data: unknown) => void)({ a: { b: () => 1 } })).toThrow('a.b is a function')
})
