/**
 * The Cloud PIN: rules for choosing one, and its bytes. The rules hold where a PIN is chosen, never where
 * one is entered: an old PIN must stay enterable when the rules change.
 */
import { utf8 } from './bytes.js'
import type { Random } from './natives.js'

export const PIN_MIN_CHARACTERS = 6
/** Longer input is a slip or an attack on the key derivation, not a PIN. */
export const PIN_MAX_CHARACTERS = 128
/** A generated PIN: 26 bits, easily copied from screen to screen. */
export const PIN_PROPOSAL_DIGITS = 8

export type PinFault = 'too-short' | 'too-long' | 'repeated' | 'run' | 'practice-name'

export const PIN_FAULT_SENTENCES: Record<PinFault, string> = {
  'too-short': `A PIN has at least ${PIN_MIN_CHARACTERS} characters.`,
  'too-long': `A PIN has at most ${PIN_MAX_CHARACTERS} characters.`,
  repeated: 'One character repeated is too easy to guess.',
  run: 'Characters in a row, such as 123456, are too easy to guess.',
  'practice-name': "The PIN can't be the practice name.",
}

/** Files and pipes end a line; the newline is not part of the PIN. One only. */
export function stripNewline(text: string): string {
  return text.replace(/\r?\n$/, '')
}

/** NFKC: a PIN typed on another keyboard gives the same bytes. */
export function pinToBytes(pin: string): Uint8Array {
  return utf8(pin.normalize('NFKC'))
}

function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase()
}

/** Every character follows the one before it, upwards or downwards; digits go round (890123). */
function isRun(characters: string[], step: 1 | -1): boolean {
  const digits = characters.every((character) => character >= '0' && character <= '9')
  return characters.slice(1).every((character, i) => {
    const difference = character.codePointAt(0)! - characters[i]!.codePointAt(0)!
    return difference === step || (digits && difference === -9 * step)
  })
}

/** What is wrong with a PIN that someone chooses for this practice, or undefined. */
export function pinFault(pin: string, practiceName: string): PinFault | undefined {
  const characters = [...folded(pin)]
  if (characters.length < PIN_MIN_CHARACTERS) return 'too-short'
  if (characters.length > PIN_MAX_CHARACTERS) return 'too-long'
  if (characters.every((character) => character === characters[0])) return 'repeated'
  if (isRun(characters, 1) || isRun(characters, -1)) return 'run'
  if (folded(pin).trim() === folded(practiceName).trim()) return 'practice-name'
  return undefined
}

/** A PIN to offer: even digits, and none that the rules refuse. */
export function proposePin(random: Random, practiceName: string): string {
  for (;;) {
    let pin = ''
    while (pin.length < PIN_PROPOSAL_DIGITS) {
      const byte = random(1)[0]!
      if (byte < 250) pin += byte % 10
    }
    if (!pinFault(pin, practiceName)) return pin
  }
}
