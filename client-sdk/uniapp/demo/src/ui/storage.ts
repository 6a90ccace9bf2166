/** Small values that outlive the app, in uni storage. A full or broken storage costs the preference, never the app. */

/** Reads a value; `fallback` when there is none, or it cannot be read. */
export function load<T>(key: string, fallback: T): T {
  try {
    const value: unknown = uni.getStorageSync(`hongyan.${key}`)
    return value === '' || value === undefined || value === null ? fallback : (value as T)
  } catch {
    return fallback
  }
}

/** Writes a value. Returns whether it is kept. */
export function save(key: string, value: unknown): boolean {
  try {
    uni.setStorageSync(`hongyan.${key}`, value)
    return true
  } catch {
    return false
  }
}
