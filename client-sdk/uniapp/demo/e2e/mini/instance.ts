/**
 * A component or a page of a mini-program: its data, its template, and the life that WeChat gives it. Data crosses to the screen as
 * WeChat has it cross, by value and later; what cannot cross is an error.
 */
import type { Node } from './nodes.ts'
import { evaluate, type Scope, type Template, type TemplateElement } from './wxml.ts'

/** What a script passed to `Component`. */
export interface Definition {
  readonly properties?: Readonly<Record<string, { readonly value?: unknown; readonly observer?: (value: unknown) => void } | null>>
  readonly observers?: Readonly<Record<string, (value: unknown) => void>>
  readonly methods?: Readonly<Record<string, (...args: unknown[]) => unknown>>
  readonly lifetimes?: Readonly<Record<string, () => void>>
  readonly created?: () => void
}

/** A definition with its template and the components that it names. */
export interface Kind {
  readonly path: string
  readonly definition: Definition
  readonly template: readonly Template[]
  /** What a tag is; `undefined` for elements of WeChat's own. */
  readonly kindOf: (tag: string) => Kind | undefined
}

/** Draws instances, soon. */
export interface Screen {
  draw(instance: Instance): void
  query(): unknown
}

const INSTANCE = Symbol('instance')

/** The instance behind what a script has of it. */
export function instanceOf(script: unknown): Instance | undefined {
  return (script as { [INSTANCE]?: Instance } | null)?.[INSTANCE]
}

/** The object that is `this` in the script's methods. */
export interface Scripted extends Record<string, unknown> {
  data: Record<string, unknown>
}

/** A component on the screen. */
export class Instance {
  readonly script: Scripted
  tree: readonly Node[] = []
  private children = new Map<string, Instance>()
  private drawn: (() => void)[] = []
  private isReady = false
  private isGone = false

  constructor(
    readonly kind: Kind,
    readonly screen: Screen,
    public host: Node | undefined,
    own: Readonly<Record<string, unknown>> = {},
  ) {
    const data: Record<string, unknown> = {}
    for (const [name, property] of Object.entries(kind.definition.properties ?? {})) data[name] = property?.value
    this.script = {
      is: kind.path,
      data,
      properties: data,
      setData: (change: Readonly<Record<string, unknown>>, done?: () => void) => this.setData(change, done),
      triggerEvent: (name: string, detail: unknown) => this.trigger(name, detail),
      selectAllComponents: (): unknown[] => [],
      selectComponent: (): null => null,
      createSelectorQuery: () => screen.query(),
      ...kind.definition.methods,
      ...own,
    }
    Object.defineProperty(this.script, INSTANCE, { value: this })
  }

  /** Begins its life with what its element says. */
  attach(properties: Readonly<Record<string, unknown>>): void {
    this.live('created')
    this.setProperties(properties)
    this.live('attached')
    this.screen.draw(this)
  }

  /** Takes what its element says now. */
  setProperties(properties: Readonly<Record<string, unknown>>): void {
    const { properties: known = {}, observers = {} } = this.kind.definition
    for (const [name, value] of Object.entries(properties)) {
      if (!(name in known) || same(this.script.data[name], value)) continue
      this.script.data[name] = value
      known[name]?.observer?.call(this.script, value)
      observers[name]?.call(this.script, value)
    }
  }

  /** Calls a method of the script that has this name, as an event does. */
  call(method: string, event: unknown): unknown {
    const found = this.script[method]
    if (typeof found !== 'function') throw new Error(`${this.kind.path} has no method ${method}`)
    return (found as (event: unknown) => unknown).call(this.script, event)
  }

  /** Puts its data on the screen. */
  render(): void {
    if (this.isGone) return
    const before = this.children
    this.children = new Map()
    this.tree = this.build(this.kind.template, this.script.data, '', undefined, before)
    for (const gone of before.values()) gone.detach()
    const told = this.drawn
    this.drawn = []
    for (const done of told) done()
    if (!this.isReady) {
      this.isReady = true
      this.live('ready')
    }
  }

  /** Ends. */
  detach(): void {
    if (this.isGone) return
    this.isGone = true
    for (const child of this.children.values()) child.detach()
    this.live('detached')
  }

  private live(name: string): void {
    const { lifetimes, created } = this.kind.definition
    const hook = lifetimes?.[name] ?? (name === 'created' ? created : undefined)
    hook?.call(this.script)
  }

  private setData(change: Readonly<Record<string, unknown>>, done?: () => void): void {
    for (const [path, value] of Object.entries(change)) put(this.script.data, path, crossing(value, path))
    if (done !== undefined) this.drawn.push(done)
    this.screen.draw(this)
  }

  private trigger(name: string, detail: unknown): void {
    const handler = this.host?.handlers.get(name)
    if (handler === undefined || this.host === undefined) return
    const target = { id: '', dataset: {} }
    this.host.owner.call(handler.method, { type: name, detail: detail ?? {}, target, currentTarget: target, timeStamp: 0 })
  }

  private build(templates: readonly Template[], scope: Scope, path: string, parent: Node | undefined, before: Map<string, Instance>): Node[] {
    const nodes: Node[] = []
    let chosen = false
    templates.forEach((template, index) => {
      const here = `${path}/${index}`
      if (template.kind === 'text') {
        nodes.push(this.node('', { parent, text: String(evaluate(template.text, scope) ?? '') }))
        return
      }
      const { attrs } = template
      const first = attrs.get('wx:if')
      const other = attrs.get('wx:elif')
      const condition = first ?? other
      if (first !== undefined) chosen = false
      if ((other !== undefined || attrs.has('wx:else')) && chosen) return
      if (condition !== undefined && !evaluate(condition, scope)) return
      chosen = true
      nodes.push(...this.each(template, scope, here, parent, before))
    })
    return nodes
  }

  private each(template: TemplateElement, scope: Scope, path: string, parent: Node | undefined, before: Map<string, Instance>): Node[] {
    const loop = template.attrs.get('wx:for')
    if (loop === undefined) return this.element(template, scope, path, parent, before)
    const list = evaluate(loop, scope)
    const key = template.attrs.get('wx:key') ?? ''
    const keys = new Set<string>()
    return (Array.isArray(list) ? list : []).flatMap((item: unknown, index) => {
      const inner = { ...scope, [template.attrs.get('wx:for-item') ?? 'item']: item, [template.attrs.get('wx:for-index') ?? 'index']: index }
      const place = `${path}[${key === '*this' ? String(item) : String((item as Scope | undefined)?.[key] ?? index)}]`
      if (keys.has(place)) throw new Error(`${this.kind.path}: two of a list have one key, ${place}`)
      keys.add(place)
      return this.element(template, inner, place, parent, before)
    })
  }

  private element(template: TemplateElement, scope: Scope, path: string, parent: Node | undefined, before: Map<string, Instance>): Node[] {
    const { tag } = template
    if (tag === 'block') return this.build(template.children, scope, path, parent, before)
    const attrs: Record<string, unknown> = {}
    const handlers = new Map<string, { method: string; stops: boolean }>()
    for (const [name, source] of template.attrs) {
      const value = evaluate(source, scope)
      const event = /^(bind|catch):?(.+)$/.exec(name)
      if (event !== null) handlers.set(event[2] ?? '', { method: String(value ?? ''), stops: event[1] === 'catch' })
      else if (!name.startsWith('wx:')) attrs[name] = value
    }
    const node = this.node(tag, { parent, attrs, handlers })
    const kind = this.kind.kindOf(tag)
    if (kind !== undefined) this.component(node, kind, path, before)
    node.children.push(...this.build(template.children, scope, path, node, before))
    return [node]
  }

  private component(node: Node, kind: Kind, path: string, before: Map<string, Instance>): void {
    const properties = Object.fromEntries(Object.entries(node.attrs).map(([name, value]) => [name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()), value]))
    const known = before.get(path)
    const kept = known?.kind === kind ? known : undefined
    const instance = kept ?? new Instance(kind, this.screen, node)
    if (kept !== undefined) before.delete(path)
    node.component = instance
    this.children.set(path, instance)
    if (kept === undefined) {
      instance.attach(properties)
    } else {
      instance.host = node
      instance.setProperties(properties)
    }
  }

  private node(tag: string, parts: Partial<Node>): Node {
    return { tag, attrs: {}, handlers: new Map(), text: '', owner: this, parent: undefined, children: [], component: undefined, ...parts }
  }
}

function same(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && JSON.stringify(a) === JSON.stringify(b))
}

/** A copy of a value that crosses to the screen. */
function crossing(value: unknown, path: string): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') throw new Error(`setData: ${path} is a ${typeof value}`)
  if (value === null || typeof value !== 'object') return value
  if (Array.isArray(value)) return value.map((part, index) => crossing(part, `${path}[${index}]`))
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, crossing(part, `${path}.${name}`)]))
}

/** Sets what a path such as `b[2].d` names. */
function put(data: Record<string, unknown>, path: string, value: unknown): void {
  const steps = path.replace(/\[(\d+)\]/g, '.$1').split('.')
  const last = steps.pop() ?? ''
  let at: Record<string, unknown> = data
  for (const step of steps) {
    const next = (at[step] ??= {})
    at = next as Record<string, unknown>
  }
  at[last] = value
}
