/** Between bytes and the messages of the mailbox and of meeting. What cannot be read is `undefined`. */
import { encoded } from './encode.js'
import { MailFrame, MeetFrame } from './mailbox.gen.js'
import { hasSoundCounts, type Nested } from './message-guard.js'

export type MailFrameKind = NonNullable<MailFrame['kind']>
export type MeetFrameKind = NonNullable<MeetFrame['kind']>

/** Which fields hold messages, from the frame down. */
const LEAF: Nested = {}
const MAIL_NESTED: Nested = {
  4: LEAF,
  6: { 1: LEAF },
  7: LEAF,
  10: { 1: LEAF },
  11: LEAF,
  12: LEAF,
  13: LEAF,
  15: { 2: LEAF },
}
const MEET_NESTED: Nested = { 2: LEAF }

/** A message's bytes → its kind; undefined for anything malformed or unknown. Never throws. */
export function decodeMailFrame(bytes: Uint8Array): MailFrameKind | undefined {
  if (!hasSoundCounts(bytes, MAIL_NESTED)) return undefined
  try {
    return MailFrame.decode(bytes).kind
  } catch {
    return undefined
  }
}

export function encodeMailFrame(kind: MailFrameKind): Uint8Array {
  return encoded(MailFrame, { kind })
}

/** As decodeMailFrame, for /kartoteka/meet. */
export function decodeMeetFrame(bytes: Uint8Array): MeetFrameKind | undefined {
  if (!hasSoundCounts(bytes, MEET_NESTED)) return undefined
  try {
    return MeetFrame.decode(bytes).kind
  } catch {
    return undefined
  }
}

export function encodeMeetFrame(kind: MeetFrameKind): Uint8Array {
  return encoded(MeetFrame, { kind })
}
