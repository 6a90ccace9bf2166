import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

import { defineConfig } from 'vitest/config'

// Not the app's own configuration: these tests need no uni-app.
export default defineConfig({ root: dirname(fileURLToPath(import.meta.url)), test: { include: ['*.test.ts'] } })
