import { createSSRApp } from 'vue'

import App from './App.vue'

/** uni-app's entry: called once by the runtime of each platform. */
export function createApp() {
  return { app: createSSRApp(App) }
}
