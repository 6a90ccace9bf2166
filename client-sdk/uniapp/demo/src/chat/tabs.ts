/**
 * One tab at a time: two tabs of a browser share what it holds, and one client owns it. The tab that was opened last takes over; the
 * one before closes its client first and says so. Browsers give locks to secure pages only (https, localhost); elsewhere, and
 * outside of browsers, the server's own rule holds: a new session of a device takes the place of the old one.
 */

// #ifdef H5
const OWNER = 'hongyan.owner'
const HELD = 'hongyan.held'
// #endif

/**
 * Takes the place over and holds it. `lost` runs when another tab takes it: it must resolve when nothing is used any more.
 * Resolves when the tab before, if there is one, has let go.
 */
export async function takePlace(lost: () => Promise<void>): Promise<void> {
  // #ifdef H5
  const locks = navigator.locks as LockManager | undefined
  if (locks === undefined) return
  let letGo: () => void = () => undefined
  const mine = new Promise<void>((resolve) => {
    letGo = resolve
  })
  // Stealing tells the tab before: its request ends with an error.
  locks.request(OWNER, { steal: true }, () => new Promise<never>(() => undefined)).catch(async () => {
    try {
      await lost()
    } finally {
      letGo()
    }
  })
  await new Promise<void>((resolve) => {
    void locks.request(HELD, () => {
      resolve()
      return mine
    })
  })
  // #endif
}
