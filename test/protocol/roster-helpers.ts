import { nodeNatives } from '../../src/node/natives.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import { xPublicKey } from '../../src/protocol/hpke.js'
import type { Random } from '../../src/protocol/natives.js'
import type { Roster } from '../../src/protocol/roster.js'
import { type OpenedRoster, openRoster } from '../../src/protocol/roster-open.js'
import {
  addDevice,
  createGenesis,
  type NewDevice,
  signEnrolment,
  type WriteContext,
} from '../../src/protocol/roster-write.js'

export const natives = nodeNatives

export interface TestDevice {
  name: string
  ed: Uint8Array
  edSecret: Uint8Array
  x: Uint8Array
  xSecret: Uint8Array
}

export function makeDevice(random: Random, name: string): TestDevice {
  const [edSecret, xSecret] = [random(32), random(32)]
  return { name, edSecret, xSecret, ed: edPublicKey(edSecret), x: xPublicKey(xSecret) }
}

/** The value of a union that may be an error. */
export function must<T extends object>(result: T): Exclude<T, { error: unknown }> {
  if ('error' in result) throw new Error(`unexpected: ${String(result.error)}`)
  return result as Exclude<T, { error: unknown }>
}

export function genesis(random: Random, device: TestDevice, practiceName = 'Praxis'): Roster {
  return must(createGenesis({ natives, random, device, practiceName })).roster
}

export function open(roster: Roster, device: TestDevice): OpenedRoster {
  return openRoster(natives, roster, device)
}

/** What `device` needs to write on `roster`. */
export function writing(random: Random, roster: Roster, device: TestDevice): WriteContext {
  return {
    natives,
    random,
    roster,
    author: device,
    epochKey: open(roster, device).epochKeys.get(roster.epoch)!,
  }
}

export function asking(roster: Roster, device: TestDevice): NewDevice {
  return { ...device, selfSignature: signEnrolment(natives, roster.practiceId, device) }
}

export function enrol(random: Random, roster: Roster, by: TestDevice, device: TestDevice): Roster {
  return must(addDevice(writing(random, roster, by), asking(roster, device))).roster
}
