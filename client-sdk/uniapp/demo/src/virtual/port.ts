/** How the virtual list reaches the thing that scrolls; one form for browsers, one for everything else. */

/** The height of one row that is on the screen. */
export interface MeasuredRow {
  readonly key: string
  readonly height: number
}

/** What a scrolling box tells the list. */
export interface PortEvents {
  /** The user, or the list itself, scrolled. */
  scrolled(): void
  /** A hand moves the box: a wheel or a finger. */
  moved(): void
  /** Rows were measured for the first time, or grew or shrank. */
  measured(rows: readonly MeasuredRow[]): void
  /** The box itself changed its size. */
  resized(): void
}

/** A box that scrolls. */
export interface ScrollPort {
  /** Whether `moved` is told: otherwise whatever scrolls may be a hand. */
  readonly feelsHands: boolean
  /** How far it is scrolled. */
  readonly top: number
  /** How far the end is below what is visible. */
  readonly fromEnd: number
  /** The height of what is visible. */
  readonly height: number
  /** Scrolls at once, without animation. */
  scrollTo(top: number): void
  /** The rows on the screen changed: measure those that are new. */
  rendered(): void
  /** Ends. */
  close(): void
}
