/** A server and a browser for the tests of a file; each test's people are closed after it, and must not have complained. */
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'

import { Person, startBrowser, type PersonOptions } from './browser.ts'
import { TestServer } from './server.ts'

/** What a test uses. */
export interface World {
  readonly server: TestServer
  readonly browser: Browser
  /** Opens the app. */
  open(options?: PersonOptions): Promise<Person>
  /** One more tab of somebody's. */
  tab(of: Person): Promise<Person>
}

/** Makes the world of a test file. */
export function useWorld(settings: Readonly<Record<string, string>> = {}): World {
  let server: TestServer | undefined
  let browser: Browser | undefined
  let people: Person[] = []

  beforeAll(async () => {
    server = await TestServer.start(settings)
    browser = await startBrowser()
  })
  afterEach(async () => {
    const gone = people
    people = []
    for (const person of gone) await person.close()
    expect(gone.flatMap(({ complaints }) => complaints), 'the consoles of all pages').toEqual([])
  })
  afterAll(async () => {
    await browser?.close()
    await server?.stop()
  })

  const there = <T>(part: T | undefined): T => {
    if (part === undefined) throw new Error('the world has not begun')
    return part
  }
  return {
    get server() {
      return there(server)
    },
    get browser() {
      return there(browser)
    },
    async open(options) {
      const person = await Person.open(there(browser), there(server).page, options)
      people.push(person)
      return person
    },
    async tab(of) {
      const person = await of.tab(there(server).page)
      people.push(person)
      return person
    },
  }
}
