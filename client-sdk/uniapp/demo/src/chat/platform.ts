/** What differs between platforms: sockets, where state is kept, what the device is called. The only file with the SDK's adapters. */
import type { ClientOptions, DeviceClass } from '@hongyan/client'

/** The options of a client on this platform. */
export function platformOptions(): Pick<ClientOptions, 'transport' | 'store' | 'device'> {
  return { device: thisDevice() }
}

function thisDevice(): { class: DeviceClass; name: string } {
  // #ifdef H5
  return { class: 'web', name: browserName(navigator.userAgent) }
  // #endif
  // #ifndef H5
  const info = uni.getSystemInfoSync()
  const kind: DeviceClass = info.deviceType === 'pad' ? 'tablet' : info.deviceType === 'pc' ? 'desktop' : 'phone'
  return { class: kind, name: [info.deviceBrand, info.deviceModel].filter(Boolean).join(' ') || 'uni-app' }
  // #endif
}

// #ifdef H5
function browserName(agent: string): string {
  const browser = /Edg\//.test(agent) ? 'Edge' : /Firefox\//.test(agent) ? 'Firefox' : /Chrome\//.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : 'Browser'
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Windows/.test(agent) ? 'Windows' : /Mac OS/.test(agent) ? 'macOS' : /Linux/.test(agent) ? 'Linux' : ''
  return system === '' ? browser : `${browser}, ${system}`
}
// #endif
