/** Why a pairing ended without success: number on the wire, and the sentence that a person reads. */

/** Order is the wire code: append only. */
const CODES = [
  'closed',
  'busy',
  'wrong-pin',
  'used-up',
  'not-mine',
  'cancelled',
  'timed-out',
  'lost',
  'too-old',
  'too-new',
  'malformed',
  'other-practice',
  'removed',
  'failed',
] as const

export type PairingError = (typeof CODES)[number]

/** 0 is no code: protobuf's default must not mean anything. */
export function pairingErrorToWire(error: PairingError): number {
  return CODES.indexOf(error) + 1
}

/** Codes of later versions read as a plain failure. */
export function pairingErrorFromWire(code: number): PairingError {
  return CODES[code - 1] ?? 'failed'
}

const SENTENCES: Record<PairingError, string> = {
  closed: 'No device is waiting for a new one. Choose "Add a device" on one that is on.',
  busy: 'Another device is being added at this moment. Try again in a minute.',
  'wrong-pin': "The PIN doesn't match, or that isn't your device.",
  'used-up': 'Too many wrong PINs. Choose "Add a device" again on the other device.',
  'not-mine': "The other device didn't accept this one.",
  cancelled: 'Adding the device was cancelled.',
  'timed-out': 'The other device took too long to answer. Try again.',
  lost: 'The connection to the other device was lost. Try again: nothing is added twice.',
  'too-old': 'This version of Kartoteka is too old for the other device. Update it.',
  'too-new': 'The other device has an older version of Kartoteka. Update it there.',
  malformed: "The other device sent something that Kartoteka doesn't understand. Nothing was changed.",
  'other-practice': 'The device that answered belongs to another practice. Check the practice code.',
  removed: 'This device was removed from the practice and can only join as a new one.',
  failed: "The device couldn't be added. Nothing was changed; try again.",
}

export function pairingSentence(error: PairingError, triesLeft?: number): string {
  if (error !== 'wrong-pin' || triesLeft === undefined) return SENTENCES[error]
  return `${SENTENCES[error]} ${triesLeft} ${triesLeft === 1 ? 'try' : 'tries'} left.`
}
