/** The files of a built mini-program as CommonJS modules in the language of a phone, loaded the way WeChat loads them. */
import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

import type { Language } from '../../../test/support/sandbox.ts'

type Wrapped = (require: (path: string) => unknown, module: { exports: unknown }, exports: unknown) => void

/** Changes what a file says before it is run. */
export type Edit = (file: string, code: string) => string

/** The modules of one program; each runs once. */
export class Modules {
  private readonly loaded = new Map<string, { exports: unknown }>()

  constructor(
    private readonly dir: string,
    private readonly language: Language,
    private readonly edit: Edit,
  ) {}

  /** Runs a file, named from the folder of the program, unless it has run. */
  load(file: string): unknown {
    const known = this.loaded.get(file)
    if (known !== undefined) return known.exports
    const module = { exports: this.language.run('({})') }
    this.loaded.set(file, module)
    const code = this.edit(file, readFileSync(join(this.dir, file), 'utf8'))
    const run = this.language.run(`(function (require, module, exports) {${code}\n})`, file) as Wrapped
    run((path) => this.load(normalize(join(dirname(file), path))), module, module.exports)
    return module.exports
  }
}
