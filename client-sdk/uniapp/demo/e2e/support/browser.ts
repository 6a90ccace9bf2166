/** Debian's Chromium, and people who use the app in it. */
import { chromium, type Browser, type BrowserContext, type Locator, type Page } from 'playwright-core'

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
/** A browser says this by itself when a server is away; no page can keep it from doing so. */
const SERVER_AWAY = /WebSocket connection to .* failed|net::ERR_(CONNECTION_REFUSED|INTERNET_DISCONNECTED|CONNECTION_RESET)/

/** The password of everybody. */
export const PASSWORD = 'correct horse'

/** Widths of windows. */
export const PHONE = { width: 390, height: 844 }
export const DESK = { width: 1200, height: 780 }

/** Starts the browser. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: ARGS })
}

/** How a person's browser is. */
export interface PersonOptions {
  readonly size?: { readonly width: number; readonly height: number }
  readonly dark?: boolean
  readonly locale?: string
  /** The server goes away in this test: what the browser itself says about that is no error. */
  readonly serverGoesAway?: boolean
}

/** Somebody with a browser. */
export class Person {
  /** What the console said that it should not. */
  readonly complaints: string[] = []
  /** Opcodes of the frames that were sent. */
  readonly sent: number[] = []

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    private readonly options: PersonOptions,
  ) {
    this.listen(page)
  }

  /** Opens the app in a browser profile of its own. */
  static async open(browser: Browser, url: string, options: PersonOptions = {}): Promise<Person> {
    const context = await browser.newContext({
      viewport: options.size ?? DESK,
      colorScheme: options.dark === true ? 'dark' : 'light',
      locale: options.locale ?? 'en',
      hasTouch: options.size === PHONE,
      reducedMotion: 'reduce',
    })
    context.setDefaultTimeout(30_000)
    const person = new Person(context, await context.newPage(), options)
    await person.page.goto(url)
    return person
  }

  /** The same profile in one more tab. */
  async tab(url: string): Promise<Person> {
    const person = new Person(this.context, await this.context.newPage(), this.options)
    await person.page.goto(url)
    return person
  }

  /** Makes an account and waits for the list. */
  async register(name: string, shown = ''): Promise<this> {
    await this.page.getByRole('radio', { name: 'Create account' }).click()
    await this.page.getByRole('textbox', { name: 'Name' }).fill(name)
    await this.page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
    if (shown !== '') await this.page.getByRole('textbox', { name: 'Shown as' }).fill(shown)
    await this.page.getByRole('button', { name: 'Create account' }).click()
    await this.search().waitFor()
    return this
  }

  /** Signs in and waits for the list. */
  async login(name: string): Promise<this> {
    await this.page.getByRole('textbox', { name: 'Name' }).fill(name)
    await this.page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
    await this.page.getByRole('button', { name: 'Sign in' }).click()
    await this.search().waitFor()
    return this
  }

  /** The search field of the list. */
  search() {
    return this.page.getByRole('textbox', { name: 'Search chats or find a person' })
  }

  /** A row of the list; its name has everything that the row shows. */
  row(name: string | RegExp) {
    return this.page.locator('.list .row').and(this.page.getByRole('button', { name }))
  }

  /** The composer. */
  composer() {
    return this.page.getByRole('textbox', { name: /^Message / })
  }

  /** Opens the conversation with a person who may be new. */
  async write(to: string): Promise<this> {
    await this.search().fill(to)
    await this.page.getByRole('button', { name: `Find “${to}” on the server` }).click()
    await this.composer().waitFor()
    return this
  }

  /** Opens a conversation of the list. */
  async openRow(name: string | RegExp): Promise<this> {
    await this.row(name).first().click()
    await this.composer().waitFor()
    return this
  }

  /** Writes messages and sends each. */
  async say(...texts: string[]): Promise<this> {
    for (const text of texts) {
      await this.composer().fill(text)
      await this.page.getByRole('button', { name: 'Send' }).click()
      await this.message(text).waitFor()
    }
    return this
  }

  /** A message on the screen by what it says. */
  message(text: string) {
    return this.page.locator('.timeline .message').filter({ hasText: text }).last()
  }

  /** Waits until a message of this person's has come so far. */
  async waitState(text: string, state: string): Promise<void> {
    await this.message(text).and(this.page.locator(`[aria-label$=", ${state}"]`)).waitFor()
  }

  /** The texts of the messages that are drawn, in order. */
  texts(): Promise<string[]> {
    return this.page.locator('.timeline .message .text:not(.text .text)').allInnerTexts()
  }

  /** The banner about the connection, in one of its states. */
  banner(status: string) {
    return this.page.locator(`.banner[data-status="${status}"]`).first()
  }

  /** Puts a finger on the middle of something and moves it so far. */
  async swipe(on: Locator, x: number, y: number): Promise<void> {
    const box = await on.boundingBox()
    if (box === null) throw new Error('there is nothing to swipe')
    const from = { x: box.x + box.width / 2, y: box.y + box.height / 2 }
    const finger = await this.context.newCDPSession(this.page)
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', part: number) =>
      finger.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x: from.x + x * part, y: from.y + y * part }] })
    await touch('touchStart', 0)
    for (let step = 1; step <= 10; step += 1) await touch('touchMove', step / 10)
    await touch('touchEnd', 1)
    await finger.detach()
  }

  /** Waits until no banner is left: all is well again. */
  async waitLive(): Promise<void> {
    await this.page.waitForFunction(() => document.querySelector('.banner') === null)
  }

  /** Closes the browser profile. */
  async close(): Promise<void> {
    await this.context.close()
  }

  private listen(page: Page): void {
    page.on('pageerror', (error) => this.complaints.push(String(error.stack ?? error)))
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return
      const text = message.text()
      if (this.options.serverGoesAway === true && SERVER_AWAY.test(text)) return
      this.complaints.push(`${message.type()}: ${text}`)
    })
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => {
        // A frame begins with its opcode: field 1, a varint below 128.
        if (typeof payload !== 'string' && payload[0] === 8) this.sent.push(payload[1] ?? 0)
      })
    })
  }
}
