/** WXML: from text to a template, and the values of its `{{ }}`. As much of it as uni-app's compiler writes. */

/** A piece of a template. */
export type Template = TemplateElement | TemplateText

/** An element with its attributes as they are written. */
export interface TemplateElement {
  readonly kind: 'element'
  readonly tag: string
  readonly attrs: ReadonlyMap<string, string>
  readonly children: readonly Template[]
}

/** Text between elements. */
export interface TemplateText {
  readonly kind: 'text'
  readonly text: string
}

interface Open {
  readonly tag: string
  readonly attrs: Map<string, string>
  readonly children: Template[]
}

const TAG = /<(\/?)([a-zA-Z][\w-]*)((?:\s+[^\s=>/"]+(?:="[^"]*")?)*)\s*(\/?)>/g
const ATTRIBUTE = /([^\s=>/"]+)(?:="([^"]*)")?/g

/** Reads a file of WXML. */
export function parse(source: string): readonly Template[] {
  const root: Open = { tag: '', attrs: new Map(), children: [] }
  const stack: Open[] = [root]
  const top = (): Open => stack[stack.length - 1] ?? root
  let at = 0
  const text = (end: number): void => {
    const between = source.slice(at, end)
    if (between.includes('<')) throw new Error(`this is no WXML: ${between.slice(0, 200)}`)
    if (between.trim() !== '') top().children.push({ kind: 'text', text: between })
  }
  for (const match of source.matchAll(TAG)) {
    const [whole, slash, tag = '', attributes = '', empty] = match
    text(match.index)
    at = match.index + whole.length
    if (slash === '/') {
      const closed = stack.pop()
      if (closed?.tag !== tag) throw new Error(`</${tag}> closes <${closed?.tag}>`)
      top().children.push({ kind: 'element', ...closed })
      continue
    }
    const attrs = new Map([...attributes.matchAll(ATTRIBUTE)].map(([, name = '', value = '']) => [name, unescape(value)]))
    if (empty === '/') top().children.push({ kind: 'element', tag, attrs, children: [] })
    else stack.push({ tag, attrs, children: [] })
  }
  text(source.length)
  if (stack.length !== 1) throw new Error(`<${top().tag}> is not closed`)
  return root.children
}

function unescape(text: string): string {
  return text.replace(/&quot;/g, '"').replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&')
}

/** The names that an expression can use. */
export type Scope = Readonly<Record<string, unknown>>

const expressions = new Map<string, (scope: object) => unknown>()

/** The value of an attribute or a text: of its only expression, or the text with all expressions filled in. */
export function evaluate(source: string, scope: Scope): unknown {
  const only = /^\{\{((?:(?!\}\}).)*)\}\}$/s.exec(source)
  if (only !== null) return compute(only[1] ?? '', scope)
  return source.replace(/\{\{(.*?)\}\}/gs, (_, expression: string) => String(compute(expression, scope) ?? ''))
}

// WeChat compiles templates itself: this is not code that the program runs.
function compute(expression: string, scope: Scope): unknown {
  let run = expressions.get(expression)
  if (run === undefined) {
    run = new Function('scope', `with (scope) { return (${expression}) }`) as (scope: object) => unknown
    expressions.set(expression, run)
  }
  // A name that nobody set is undefined.
  return run(new Proxy(scope, { has: (_, name) => typeof name === 'string', get: (target, name) => Reflect.get(target, name) }))
}
