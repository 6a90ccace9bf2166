/** The few places where a browser's own elements are needed; other platforms get `null` and do without. */

/** The element behind a template reference. */
export function element(reference: unknown): HTMLElement | null {
  // #ifdef H5
  if (reference instanceof HTMLElement) return reference
  const inner = (reference as { $el?: unknown } | null)?.$el
  if (inner instanceof HTMLElement) return inner
  // #endif
  return null
}

/** Whether the page is on the screen; always, outside of browsers. */
export function pageVisible(): boolean {
  // #ifdef H5
  return document.visibilityState === 'visible'
  // #endif
  // #ifndef H5
  return true
  // #endif
}
