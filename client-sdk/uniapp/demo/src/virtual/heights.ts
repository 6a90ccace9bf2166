/**
 * Heights of rows, known or guessed, with sums over any range in O(log n): a Fenwick tree over the rows in the order of the list.
 * The list asks which row is at an offset, and where a row begins.
 */
export class Heights {
  private keys: readonly string[] = []
  private readonly known = new Map<string, number>()
  private values: Float64Array = new Float64Array(0)
  private tree: Float64Array = new Float64Array(1)
  private measuredSum = 0

  constructor(private readonly guess: number) {}

  /** How many rows there are. */
  get length(): number {
    return this.keys.length
  }

  /** The height of all rows. */
  get total(): number {
    return this.offset(this.keys.length)
  }

  /** The guess for a row that was never seen: the mean of those that were. */
  get estimate(): number {
    return this.known.size === 0 ? this.guess : this.measuredSum / this.known.size
  }

  /** Takes over a new order of rows; heights that are known stay with their keys. */
  setKeys(keys: readonly string[]): void {
    const estimate = this.estimate
    this.keys = keys
    this.values = new Float64Array(keys.length)
    this.tree = new Float64Array(keys.length + 1)
    keys.forEach((key, index) => {
      const height = this.known.get(key) ?? estimate
      this.values[index] = height
      this.tree[index + 1] = height
    })
    for (let node = 1; node <= keys.length; node += 1) {
      const parent = node + (node & -node)
      if (parent <= keys.length) this.tree[parent]! += this.tree[node]!
    }
    this.prune()
  }

  /** A row was measured. Returns by how much the list's idea of it was wrong. */
  measure(index: number, height: number): number {
    const key = this.keys[index]
    if (key === undefined) return 0
    const before = this.known.get(key)
    this.measuredSum += height - (before ?? 0)
    this.known.set(key, height)
    const delta = height - this.values[index]!
    if (delta !== 0) {
      this.values[index] = height
      for (let node = index + 1; node <= this.keys.length; node += node & -node) this.tree[node]! += delta
    }
    return delta
  }

  /** Where row `index` begins. */
  offset(index: number): number {
    let sum = 0
    for (let node = Math.min(index, this.keys.length); node > 0; node -= node & -node) sum += this.tree[node]!
    return sum
  }

  /** The row that covers `offset`; the nearest one outside of the list. */
  indexAt(offset: number): number {
    let node = 0
    let rest = Math.max(0, offset)
    for (let step = 2 ** Math.floor(Math.log2(Math.max(1, this.keys.length))); step >= 1; step /= 2) {
      const next = node + step
      if (next <= this.keys.length && this.tree[next]! <= rest) {
        node = next
        rest -= this.tree[next]!
      }
    }
    return Math.max(0, Math.min(node, this.keys.length - 1))
  }

  /** Forgets heights of rows that left the list long ago, so that the map stays bounded. */
  private prune(): void {
    if (this.known.size <= 2 * this.keys.length + 1_000) return
    const present = new Set(this.keys)
    for (const [key, height] of this.known) {
      if (!present.has(key)) {
        this.known.delete(key)
        this.measuredSum -= height
      }
    }
  }
}
