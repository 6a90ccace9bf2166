/** What is on the screen of a mini-program: the nodes of all components, looked at as one tree. */
import type { Instance } from './instance.ts'

/** An element, or a piece of text. */
export interface Node {
  readonly tag: string
  readonly attrs: Readonly<Record<string, unknown>>
  /** The names of methods by event, of the component whose template this node is in. */
  readonly handlers: ReadonlyMap<string, { readonly method: string; readonly stops: boolean }>
  readonly text: string
  readonly owner: Instance
  readonly parent: Node | undefined
  readonly children: Node[]
  /** The component that this element is. */
  component: Instance | undefined
}

/** The children of a node as they are seen: those of a component are its own template, with what it was given in its slots. */
export function seen(node: Node): readonly Node[] {
  if (node.component !== undefined) return node.component.tree
  return node.tag === 'slot' ? given(node) : node.children
}

/** What the owner of a component put into one of its slots. */
function given(slot: Node): readonly Node[] {
  const name = String(slot.attrs['name'] ?? '')
  return slot.owner.host?.children.filter(({ attrs }) => String(attrs['slot'] ?? '') === name) ?? []
}

/** The node around this one, as it is seen. */
export function around(node: Node): Node | undefined {
  const { parent } = node
  if (parent === undefined) return node.owner.host
  if (parent.component === undefined) return parent
  const name = String(node.attrs['slot'] ?? '')
  return [...walk(parent.component.tree, false)].find(({ tag, attrs }) => tag === 'slot' && String(attrs['name'] ?? '') === name)
}

/** All nodes from here on; with what is inside of components, or of one template alone. */
export function* walk(nodes: readonly Node[], deep = true): Generator<Node> {
  for (const node of nodes) {
    yield node
    yield* walk(deep ? seen(node) : node.children, deep)
  }
}

/** What a node says. */
export function textOf(node: Node): string {
  return node.tag === '' ? node.text : seen(node).map(textOf).join('')
}

/** Whether a node has a class. */
export function hasClass(node: Node, name: string): boolean {
  const { class: classes } = node.attrs
  return [classes].flat(2).some((part) => typeof part === 'string' && part.split(' ').includes(name))
}
