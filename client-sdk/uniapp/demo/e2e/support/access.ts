/** axe-core in a page: what would keep people with a screen reader, a keyboard or weak eyes from using it. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

import type { Page } from 'playwright-core'

const SOURCE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/**
 * Not asked: `region`, for menus and notes lie over the page and belong to no part of it; and `label-content-name-mismatch`, which counts the letters
 * in the faces and wants names in the order in which they are drawn.
 */
const RULES = { region: { enabled: false }, 'label-content-name-mismatch': { enabled: false } }

interface Result {
  readonly id: string
  readonly help: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
}

/** What axe objects to on this page; nothing, if all is well. */
export async function objections(page: Page): Promise<string[]> {
  if (!(await page.evaluate('typeof axe === "object"'))) await page.evaluate(SOURCE)
  const results = (await page.evaluate(`axe.run(document, { rules: ${JSON.stringify(RULES)} }).then(({ violations }) => violations)`)) as Result[]
  return results.flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) => `${id} (${help}): ${html.slice(0, 240)} ${failureSummary ?? ''}`))
}
