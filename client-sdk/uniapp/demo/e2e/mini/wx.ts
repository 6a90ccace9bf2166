/** WeChat's own API, `wx`: what the app and uni-app's runtime call of it. Storage lives in memory, sockets are real. */
import type { ConnectOptions, Sockets } from '../../../test/support/sandbox.ts'
import { instanceOf, type Instance } from './instance.ts'
import { hasClass, walk, type Node } from './nodes.ts'

/** How a phone is. */
export const PHONE = {
  brand: 'devtools', model: 'iPhone 15', deviceType: 'phone', system: 'iOS 17.0', platform: 'ios', language: 'en', theme: 'light',
  version: '8.0.50', SDKVersion: '3.7.0', pixelRatio: 3, windowWidth: 390, windowHeight: 760, screenWidth: 390, screenHeight: 844,
  statusBarHeight: 47, safeArea: { left: 0, right: 390, top: 47, bottom: 810, width: 390, height: 763 },
}
/** The height of every row, and of everything else. */
const ROW_PX = 44
const BOX_PX = 600

/** What WeChat does with pages. */
export interface Navigation {
  open(url: string, how: 'over' | 'instead' | 'alone'): void
  back(delta: number): void
}

interface Callbacks {
  success?(result: unknown): void
  complete?(result: unknown): void
}

const done = (options: Callbacks | undefined): void => {
  setTimeout(() => {
    options?.success?.({ errMsg: 'ok' })
    options?.complete?.({ errMsg: 'ok' })
  }, 0)
}

/** Makes `wx`. */
export function makeWx(navigation: Navigation, sockets: Sockets, storage: Map<string, unknown>): Record<string, unknown> {
  const go = (how: 'over' | 'instead' | 'alone') => (options: Callbacks & { url: string }) => {
    setTimeout(() => navigation.open(options.url, how), 0)
    done(options)
  }
  const set = (key: string, value: unknown): void => {
    // Storage keeps what JSON keeps.
    storage.set(key, JSON.parse(JSON.stringify(value)))
  }
  return {
    getSystemInfoSync: () => ({ ...PHONE }),
    getAppBaseInfo: () => ({ ...PHONE }),
    getWindowInfo: () => ({ ...PHONE }),
    getDeviceInfo: () => ({ ...PHONE }),
    getLaunchOptionsSync: () => ({ path: 'pages/home/home', query: {}, scene: 1001 }),
    canIUse: () => true,
    getStorageSync: (key: string) => storage.get(key) ?? '',
    setStorageSync: set,
    setStorage: ({ key, data, ...rest }: Callbacks & { key: string; data: unknown }) => {
      set(key, data)
      done(rest)
    },
    removeStorageSync: (key: string) => storage.delete(key),
    getStorageInfoSync: () => ({ keys: [...storage.keys()], currentSize: 1, limitSize: 10_240 }),
    connectSocket: (options: ConnectOptions) => sockets.connect(options),
    navigateTo: go('over'),
    redirectTo: go('instead'),
    reLaunch: go('alone'),
    navigateBack: (options: Callbacks & { delta?: number }) => {
      setTimeout(() => navigation.back(options.delta ?? 1), 0)
      done(options)
    },
    setClipboardData: done,
    createSelectorQuery: () => new Query(),
    ...Object.fromEntries(
      ['onNetworkStatusChange', 'offNetworkStatusChange', 'onThemeChange', 'offThemeChange', 'onWindowResize', 'offWindowResize', 'onAppShow', 'onAppHide'].map((name) => [name, () => undefined]),
    ),
  }
}

/** `createSelectorQuery`: every box has the same size, every row the same height. */
export class Query {
  private find: () => unknown = () => null
  private instance: Instance | undefined
  private readonly asked: { readonly answer: () => unknown; readonly tell: ((answer: unknown) => void) | undefined }[] = []

  select(selector: string): this {
    this.find = () => this.matching(selector)[0] ?? null
    return this
  }

  in(script: unknown): this {
    this.instance = instanceOf(script)
    return this
  }

  selectAll(selector: string): this {
    this.find = () => this.matching(selector)
    return this
  }

  boundingClientRect(tell?: (answer: unknown) => void): this {
    this.asked.push({ answer: this.find, tell })
    return this
  }

  fields(_fields: unknown, tell?: (answer: unknown) => void): this {
    return this.boundingClientRect(tell)
  }

  exec(tell?: (answers: unknown[]) => void): void {
    setTimeout(() => {
      const answers = this.asked.map(({ answer }) => answer())
      this.asked.forEach(({ tell: each }, index) => each?.(answers[index]))
      tell?.(answers)
    }, 0)
  }

  private matching(selector: string): unknown[] {
    const tree = this.instance?.tree ?? []
    const found = [...walk(tree, false)].filter((node) => hasClass(node, selector.replace(/^\./, '')))
    return found.map((node) => ({ width: PHONE.windowWidth, height: hasClass(node, 'vrow') ? ROW_PX : BOX_PX, left: 0, top: 0, dataset: dataset(node) }))
  }
}

/** The `data-` attributes of a node. */
export function dataset(node: Node): Record<string, unknown> {
  return Object.fromEntries(Object.entries(node.attrs).flatMap(([name, value]) => (name.startsWith('data-') ? [[name.slice(5), value]] : [])))
}
