/**
 * A relay's side of /kartoteka/meet: a new device that knows a practice code finds the device that waits for it.
 *
 * [B13] FIND answers with the keys of devices that are connected now, belong to the practice of that code and
 *       have said that a window is open. Nothing else is told: a code that is unknown, malformed or without a
 *       window hears the same. Questions are bounded for each address and in all.
 */
import { equalBytes, toHex } from './bytes.js'
import { MAX_FOUND } from './mailbox-limits.js'
import type { Natives } from './natives.js'
import { practiceCode } from './practice-code.js'
import { type Rate, Rates } from './rates.js'

/** A person tries an address a few times; codes have 80 bits, so guessing is hopeless at any rate. */
export const FIND_RATE: Rate = { burst: 10, perSecond: 1 }
export const FIND_RATE_IN_ALL: Rate = { burst: 100, perSecond: 100 }

/** The characters of a code that carry information. */
const FIND_CHARACTERS = 16
/** Nothing longer is looked at. */
const MAX_CODE_CHARACTERS = 32

export class Meeting {
  /** The code's characters → devices with an open window; a device once for each session of it. */
  private readonly windows = new Map<string, Uint8Array[]>()
  private readonly byAddress = new Rates(FIND_RATE)
  private readonly inAll = new Rates(FIND_RATE_IN_ALL)

  constructor(private readonly natives: Natives) {}

  open(practice: Uint8Array, device: Uint8Array): void {
    const code = charactersOf(practiceCode(this.natives, practice))
    this.windows.set(code, [...(this.windows.get(code) ?? []), device])
  }

  close(practice: Uint8Array, device: Uint8Array): void {
    const code = charactersOf(practiceCode(this.natives, practice))
    const devices = [...(this.windows.get(code) ?? [])]
    const at = devices.findIndex((other) => equalBytes(other, device))
    if (at >= 0) devices.splice(at, 1)
    if (devices.length > 0) this.windows.set(code, devices)
    else this.windows.delete(code)
  }

  hasWindow(device: Uint8Array): boolean {
    return [...this.windows.values()].some((devices) => devices.some((other) => equalBytes(other, device)))
  }

  /** undefined: asked too often. `now` in milliseconds of a clock that only goes forward. */
  find(address: string, text: string, now: number): Uint8Array[] | undefined {
    if (!this.byAddress.take(address, now) || !this.inAll.take('', now)) return undefined
    const waiting = this.windows.get(charactersOf(text)) ?? []
    const found = new Map(waiting.map((device) => [toHex(device), device]))
    return [...found.values()].slice(0, MAX_FOUND)
  }
}

/** Without the hyphens of the shown form, and without its check characters. */
function charactersOf(code: string): string {
  return code.slice(0, MAX_CODE_CHARACTERS).replaceAll('-', '').slice(0, FIND_CHARACTERS)
}
