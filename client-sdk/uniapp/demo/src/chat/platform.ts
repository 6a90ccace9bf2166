/** What differs between platforms: sockets, where state is kept, what the device is called. The only file with the SDK's adapters. */
import type { ClientOptions, DeviceClass } from '@hongyan/client'
import { uniStore, uniTransport } from '@hongyan/client/uni'

/** The options of a client on this platform for the server at `url`; what is kept of each server is apart from the others. */
export function platformOptions(url: string): Pick<ClientOptions, 'transport' | 'store' | 'device'> {
  const name = `hongyan-${url.replace(/[^a-z0-9]+/gi, '-')}`
  return { transport: uniTransport(), store: uniStore(name), device: thisDevice() }
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
