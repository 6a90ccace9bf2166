/**
 * Runs a built mini-program: its files in the language of a phone, its pages on a screen that can be asked what it shows and be tapped.
 * It stands in for WeChat: App, Component, the stack of pages, and events; there is no layout and nothing is painted.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join, normalize } from 'node:path'

import { Language, Sockets } from '../../../test/support/sandbox.ts'
import { Instance, type Definition, type Kind, type Screen } from './instance.ts'
import { Modules, type Edit } from './modules.ts'
import { around, hasClass, textOf, walk, type Node } from './nodes.ts'
import { dataset, makeWx, Query, type Navigation } from './wx.ts'
import { parse } from './wxml.ts'

const WAIT_MS = 20_000

interface AppOptions {
  onLaunch?(options: unknown): void
  onShow?(options: unknown): void
}

/** A mini-program that runs. */
export class MiniProgram implements Navigation, Screen {
  /** What the console said that it should not. */
  readonly complaints: string[] = []
  /** What the program keeps on the phone. */
  readonly storage = new Map<string, unknown>()
  private readonly language = new Language()
  private readonly sockets = new Sockets(this.language)
  private readonly modules: Modules
  private readonly kinds = new Map<string, Kind>()
  private readonly stale = new Set<Instance>()
  private stack: Instance[] = []
  private app: AppOptions = {}
  private defined: Definition | undefined
  private ended = false

  private constructor(
    private readonly dir: string,
    edit: Edit,
  ) {
    this.modules = new Modules(dir, this.language, edit)
    const complain = (...words: unknown[]): void => void this.complaints.push(words.map(String).join(' '))
    this.language.define({
      global: this.language.run('this'),
      console: { ...console, error: complain, warn: complain },
      wx: makeWx(this, this.sockets, this.storage),
      App: (options: AppOptions) => (this.app = options),
      Component: (definition: Definition) => (this.defined = definition),
      Page: () => complain('Page() is not what uni-app calls'),
      getApp: () => this.app,
      getCurrentPages: () => this.stack.map(({ script }) => script),
    })
  }

  /** Starts the program in `dir` as a tap on its icon does. `storage` is what the phone has kept of it. */
  static start(dir: string, storage: Readonly<Record<string, unknown>> = {}, edit: Edit = (_, code) => code): MiniProgram {
    if (!existsSync(join(dir, 'app.json'))) throw new Error(`${dir} is missing: run \`npm run build:mp-weixin\``)
    const program = new MiniProgram(dir, edit)
    for (const [key, value] of Object.entries(storage)) program.storage.set(key, value)
    const { pages } = JSON.parse(readFileSync(join(dir, 'app.json'), 'utf8')) as { pages: string[] }
    program.modules.load('app.js')
    for (const page of pages) program.kind(page)
    program.app.onLaunch?.({ path: pages[0], query: {}, scene: 1001 })
    program.app.onShow?.({ path: pages[0], query: {}, scene: 1001 })
    program.open(`/${pages[0]}`, 'alone')
    return program
  }

  // What a test asks.

  /** The page that is shown now. */
  get route(): string {
    return String(this.stack[this.stack.length - 1]?.script['route'] ?? '')
  }

  /** Everything on the page, in order. */
  nodes(): Node[] {
    return [...walk(this.stack[this.stack.length - 1]?.tree ?? [])]
  }

  /** What elements of this class say. */
  texts(name: string): string[] {
    return this.nodes().filter((node) => hasClass(node, name)).map(textOf)
  }

  /** Waits until something is so; `what` is what the error says otherwise. */
  async until<T>(what: string, look: () => T | undefined | false): Promise<T> {
    for (const end = Date.now() + WAIT_MS; Date.now() < end; await new Promise((next) => setTimeout(next, 10))) {
      const found = look()
      if (found !== undefined && found !== false) return found
    }
    const shown = this.nodes().filter(({ tag }) => tag === '').map(({ text }) => text)
    throw new Error(`${what}: not within ${WAIT_MS} ms; ${this.route} shows «${shown.join(' ')}» ${this.complaints.join('\n')}`)
  }

  /** Taps the element of this role and name. */
  async tap(role: string, name: string | RegExp): Promise<void> {
    const node = await this.until(`${role} ${String(name)}`, () =>
      this.nodes().find((one) => one.attrs['role'] === role && !one.attrs['aria-disabled'] && matches(String(one.attrs['aria-label'] || textOf(one)), name)),
    )
    this.dispatch(node, 'tap', { x: 1, y: 1 })
  }

  /** Types into the field of this name. */
  async fill(name: string | RegExp, value: string): Promise<void> {
    const node = await this.until(`field ${String(name)}`, () =>
      this.nodes().find(({ tag, attrs }) => (tag === 'input' || tag === 'textarea') && matches(String(attrs['aria-label'] ?? attrs['placeholder'] ?? ''), name)),
    )
    this.dispatch(node, 'input', { value, cursor: value.length })
  }

  /** Ends the program as the system does: at once, and without a word to it. */
  close(): void {
    this.ended = true
    this.language.stop()
    this.sockets.close()
  }

  // What WeChat does.

  open(url: string, how: 'over' | 'instead' | 'alone'): void {
    if (this.ended) return
    const [path = '', query = ''] = url.replace(/^\//, '').split('?')
    const gone = how === 'alone' ? this.stack.splice(0) : how === 'instead' ? this.stack.splice(-1) : []
    for (const page of gone.reverse()) this.unload(page)
    this.call(this.stack[this.stack.length - 1], 'onHide')
    // Values stay encoded, as WeChat leaves them.
    const options = Object.fromEntries(query.split('&').flatMap((pair) => (pair === '' ? [] : [pair.split('=') as [string, string]])))
    const page = this.make(this.kind(path), { route: path, __route__: path, options })
    this.stack.push(page)
    page.attach({})
    this.call(page, 'onLoad', options)
    this.call(page, 'onShow')
  }

  back(delta: number): void {
    for (const page of this.stack.splice(Math.max(1, this.stack.length - delta))) this.unload(page)
    this.call(this.stack[this.stack.length - 1], 'onShow')
  }

  draw(instance: Instance): void {
    if (this.stale.size === 0) setTimeout(() => this.render(), 0)
    this.stale.add(instance)
  }

  query(): Query {
    return new Query()
  }

  private render(): void {
    for (const instance of this.stale) {
      this.stale.delete(instance)
      instance.render()
    }
  }

  private make(kind: Kind, own: Readonly<Record<string, unknown>>): Instance {
    return new Instance(kind, this, undefined, own)
  }

  private unload(page: Instance): void {
    this.call(page, 'onUnload')
    page.detach()
  }

  private call(page: Instance | undefined, method: string, argument?: unknown): void {
    if (typeof page?.script[method] === 'function') page.call(method, argument)
  }

  /** The component or page at a path without an ending; its script and template are read once. */
  private kind(path: string): Kind {
    const known = this.kinds.get(path)
    if (known !== undefined) return known
    const read = (ending: string): string => readFileSync(join(this.dir, `${path}.${ending}`), 'utf8')
    const { usingComponents = {} } = JSON.parse(read('json')) as { usingComponents?: Readonly<Record<string, string>> }
    this.defined = undefined
    this.modules.load(`${path}.js`)
    const definition: Definition | undefined = this.defined
    if (definition === undefined) throw new Error(`${path}.js defines no component`)
    const kind: Kind = {
      path,
      definition,
      template: parse(read('wxml')),
      kindOf: (tag) => {
        const file = usingComponents[tag]
        return file === undefined ? undefined : this.kind(normalize(file.startsWith('/') ? file.slice(1) : join(path, '..', file)))
      },
    }
    this.kinds.set(path, kind)
    return kind
  }

  private dispatch(target: Node, type: string, detail: unknown): void {
    const bubbles = type === 'tap'
    for (let node: Node | undefined = target; node !== undefined; node = bubbles ? around(node) : undefined) {
      const handler = node.component === undefined ? node.handlers.get(type) : undefined
      if (handler === undefined) continue
      node.owner.call(handler.method, {
        type,
        detail,
        timeStamp: 0,
        target: { id: '', dataset: dataset(target) },
        currentTarget: { id: '', dataset: dataset(node) },
      })
      if (handler.stops) return
    }
  }
}

function matches(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === 'string' ? text === wanted : wanted.test(text)
}
