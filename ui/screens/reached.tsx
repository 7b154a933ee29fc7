/** By which way a device is reached, and when it was last seen. */
import type { DeviceStatus } from '../../src/node/contract.js'
import { timeAgo } from '../lib/dates.js'
import type { PlainKey, Words } from '../words/words.js'

const pathWords: Record<DeviceStatus['path'], PlainKey> = {
  lan: 'pathLan',
  direct: 'pathDirect',
  relayed: 'pathRelayed',
  mailbox: 'pathMailbox',
  none: 'pathNone',
}

/** "same network", or "by mailbox · last seen 5 minutes ago". */
export function reachedBy(t: Words, device: DeviceStatus, now: number): string {
  if (device.self) return t('thisDevice')
  if (device.connected) return t(pathWords[device.path])
  const seen = lastSeen(t, device, now)
  return device.path === 'none' ? seen : `${t(pathWords[device.path])} · ${seen}`
}

export function lastSeen(t: Words, device: DeviceStatus, now: number): string {
  if (device.connected) return t(pathWords[device.path])
  return device.lastSeen === null ? t('neverSeen') : t('lastSeen', { when: timeAgo(device.lastSeen, now, t) })
}

/** A filled dot: connected now. The way itself stands beside it in words. */
export function DeviceDot({ device }: { device: DeviceStatus }) {
  return <span className="device-dot" data-on={device.self || device.connected || undefined} />
}

export function DeviceState({ t, device }: { t: Words; device: DeviceStatus }) {
  if (device.self) return null
  return (
    <span className="device-state" data-behind={!device.upToDate || undefined}>
      {device.upToDate ? t('upToDate') : t.count('behind', device.behind)}
    </span>
  )
}
