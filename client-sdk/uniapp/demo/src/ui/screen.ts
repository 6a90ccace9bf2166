/** The size of the window: wide ones show the list and a chat side by side. */
import { ref } from 'vue'

/** From this width on, list and chat stand side by side. */
export const WIDE_PX = 820

/** Whether the window is wide now. */
export const wide = ref(false)

/** Follows the window's width; once, when the app starts. */
export function startScreen(): void {
  // #ifdef H5
  const query = window.matchMedia(`(min-width: ${WIDE_PX}px)`)
  wide.value = query.matches
  query.addEventListener('change', (event) => (wide.value = event.matches))
  // #endif
  // #ifndef H5
  wide.value = uni.getSystemInfoSync().windowWidth >= WIDE_PX
  uni.onWindowResize((event) => (wide.value = event.size.windowWidth >= WIDE_PX))
  // #endif
}
