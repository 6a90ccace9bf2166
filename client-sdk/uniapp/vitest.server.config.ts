import { defineConfig } from 'vitest/config';

// With a real server: HONGYAN_BIN, or the debug build of this repository.
export default defineConfig({
  test: {
    include: ['test/server/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
