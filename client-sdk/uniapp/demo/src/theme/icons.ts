/**
 * The app's own line icons, drawn on a 24 by 24 grid. Shown as a mask, so that an icon has the colour of the text around it.
 */
const PATHS = {
  alert: '<circle cx="12" cy="12" r="8.5"/><path d="M12 7.5v5M12 16v.2"/>',
  back: '<path d="m14.5 5-7 7 7 7"/>',
  bell: '<path d="M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15ZM10 20.5h4"/>',
  bellOff: '<path d="M8.5 6.1A6 6 0 0 1 18 11v4M17 18H4.5L6 16.5V11c0-.7.1-1.4.3-2M10 20.5h4M4 4l16 16"/>',
  check: '<path d="m5 12.5 4.5 4.5L19 7.5"/>',
  checks: '<path d="m2.5 12.5 4 4 8-8.5M11 15.5l1.5 1.5L21.5 8"/>',
  clock: '<circle cx="12" cy="12" r="8"/><path d="M12 7.5V12l3 2"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>',
  copy: '<rect x="8.5" y="8.5" width="11" height="11" rx="2.5"/><path d="M15.5 8.5V7A2.5 2.5 0 0 0 13 4.5H7A2.5 2.5 0 0 0 4.5 7v6A2.5 2.5 0 0 0 7 15.5h1.5"/>',
  crown: '<path d="m4.5 8 3.8 3.5L12 6l3.7 5.5L19.5 8l-1.5 9.5H6Z"/>',
  device: '<rect x="7" y="3.5" width="10" height="17" rx="2.5"/><path d="M11 17.5h2"/>',
  down: '<path d="m6 9.5 6 6 6-6"/>',
  eye: '<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Z"/><circle cx="12" cy="12" r="2.8"/>',
  eyeOff: '<path d="M9.9 5.8A9 9 0 0 1 12 5.5c6 0 9.5 6.5 9.5 6.5a17 17 0 0 1-3 3.7M14.1 18.2c-.7.2-1.4.3-2.1.3C6 18.5 2.5 12 2.5 12A17 17 0 0 1 6.3 7.7M4 4l16 16"/>',
  forward: '<path d="m9.5 5 7 7-7 7"/>',
  gear: '<path d="M4 7h8M18 7h2M4 17h2M12 17h8"/><circle cx="15" cy="7" r="2.5"/><circle cx="9" cy="17" r="2.5"/>',
  globe: '<circle cx="12" cy="12" r="8.5"/><path d="M3.5 12h17M12 3.5c2.5 2.5 3.7 5.3 3.7 8.5s-1.2 6-3.7 8.5c-2.5-2.5-3.7-5.3-3.7-8.5S9.5 6 12 3.5Z"/>',
  group: '<circle cx="9" cy="8.5" r="3.5"/><path d="M2.5 19.5c.4-4 2.7-6 6.5-6s6.1 2 6.5 6M15.5 5.3a3.5 3.5 0 0 1 0 6.4M18 14c2 .8 3.2 2.6 3.5 5.5"/>',
  info: '<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5.5M12 7.5v.2"/>',
  leave: '<path d="M13.5 4.5H7A2.5 2.5 0 0 0 4.5 7v10A2.5 2.5 0 0 0 7 19.5h6.5M10 12h10.5M17 8.5l3.5 3.5-3.5 3.5"/>',
  lock: '<rect x="5" y="10.5" width="14" height="9.5" rx="2.5"/><path d="M8.5 10.5V8a3.5 3.5 0 0 1 7 0v2.5"/>',
  log: '<path d="M5 6h14M5 10.5h9M5 15h14M5 19.5h6"/>',
  monitor: '<rect x="3" y="4.5" width="18" height="12" rx="2.5"/><path d="M8.5 20h7M12 16.5V20"/>',
  moon: '<path d="M19.5 14.3A8 8 0 0 1 9.7 4.5a8 8 0 1 0 9.8 9.8Z"/>',
  more: '<path d="M5.5 12h.1M12 12h.1M18.5 12h.1" stroke-width="2.8"/>',
  pen: '<path d="M4.5 19.5 5.5 15 16 4.5l3.5 3.5L9 18.5ZM13.5 7l3.5 3.5"/>',
  pin: '<path d="m14.5 3.5 6 6-2 .8-3.7 3.7-.3 4-1.5 1.5-9-9L5.5 9l4-.3 3.7-3.7ZM8.5 15.5l-4.5 4.5"/>',
  plus: '<path d="M12 5v14M5 12h14"/>',
  retry: '<path d="M19.5 11.5A7.5 7.5 0 1 0 17 17.6M19.5 5.5v6h-6"/>',
  search: '<circle cx="10.5" cy="10.5" r="6"/><path d="m15 15 5 5"/>',
  send: '<path d="M4 12 3.5 5l17.5 7-17.5 7ZM4 12h8"/>',
  server: '<rect x="4" y="4.5" width="16" height="6.5" rx="2"/><rect x="4" y="13" width="16" height="6.5" rx="2"/><path d="M7.5 7.7h.1M7.5 16.2h.1" stroke-width="2.4"/>',
  shield: '<path d="M12 3.5 5 6v5.5c0 4.5 2.8 7.5 7 9 4.2-1.5 7-4.5 7-9V6Z"/>',
  smile: '<circle cx="12" cy="12" r="8.5"/><path d="M8 14c1 1.7 2.3 2.5 4 2.5s3-.8 4-2.5M9 9.5v.3M15 9.5v.3"/>',
  sun: '<circle cx="12" cy="12" r="4"/><path d="M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4"/>',
  trash: '<path d="M5 7h14M9.5 7V4.5h5V7M7 7l.8 12.5h8.4L17 7M10.5 10.5v5.5M13.5 10.5v5.5"/>',
  userPlus: '<circle cx="10" cy="8.5" r="3.5"/><path d="M3.5 19.5c.4-4 2.7-6 6.5-6 1.8 0 3.3.5 4.4 1.4M18 14v6M15 17h6"/>',
} as const

/** The name of an icon. */
export type IconName = keyof typeof PATHS

const cache = new Map<string, string>()

/** The icon as a CSS `url(...)`. */
export function iconUrl(name: IconName): string {
  let url = cache.get(name)
  if (url === undefined) {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#000" stroke-width="1.7" ' +
      `stroke-linecap="round" stroke-linejoin="round">${PATHS[name]}</svg>`
    url = `url("data:image/svg+xml,${encodeURIComponent(svg)}")`
    cache.set(name, url)
  }
  return url
}
