/** Sizes as a person reads them: "24.6 kB". A kilobyte has 1,000 bytes, as disks and file managers count. */
import type { Words } from '../words/words.js'

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const
const step = 1000

export function readableSize(bytes: number, t: Words): string {
  let value = bytes
  let unit = 0
  // Rounded first: 999,960 bytes are 1 MB, not 1,000 kB.
  while (tenths(value) >= step && unit < units.length - 1) {
    value /= step
    unit++
  }
  return `${t.number(unit === 0 ? value : tenths(value))}\u00a0${units[unit]}`
}

/** Every byte, for those who want to know exactly. */
export function exactSize(bytes: number, t: Words): string {
  return new Intl.NumberFormat(t.language, { style: 'unit', unit: 'byte', unitDisplay: 'long' }).format(bytes)
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}
