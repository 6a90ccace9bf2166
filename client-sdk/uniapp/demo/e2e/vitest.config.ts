import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

import { defineConfig } from 'vitest/config'

// One file at a time: each starts a server and a browser of its own.
export default defineConfig({
  root: dirname(fileURLToPath(import.meta.url)),
  test: { include: ['*.test.ts'], fileParallelism: false, testTimeout: 120_000, hookTimeout: 60_000 },
})
