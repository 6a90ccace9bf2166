import uniPlugin from '@dcloudio/vite-plugin-uni'
import { defineConfig } from 'vite'

// The plugin is CommonJS; under ESM its default export arrives one level deeper.
const uni = (uniPlugin as unknown as { default?: typeof uniPlugin }).default ?? uniPlugin

export default defineConfig(() => ({
  // Relative, so that the built H5 works from any folder of any server.
  base: './',
  plugins: [uni()],
  // WeChat's real devices have no `globalThis`; its `global` is the same thing.
  define: process.env.UNI_PLATFORM === 'mp-weixin' ? { globalThis: 'global' } : {},
  css: { preprocessorOptions: { scss: { charset: false } } },
}))
