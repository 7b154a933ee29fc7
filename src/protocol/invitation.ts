/**
 * An invitation: the practice code and addresses where it can be reached, as one line of text (and as a QR
 * code): `kartoteka:XXXXXX-XXXXXX-XXXXXX?at=/ip4/192.0.2.7/tcp/4001&relay=…`: `at` is where a device is, `relay`
 * where a relay is that knows which devices wait. A bare code is an invitation without addresses. Nothing in it is
 * secret.
 */
import { parsePracticeCode } from './practice-code.js'

export const INVITATION_SCHEME = 'kartoteka:'
/** A few relays and a few own addresses; more would not fit a QR code that a telephone reads. */
export const MAX_INVITATION_ADDRESSES = 16
export const MAX_ADDRESS_CHARACTERS = 300
const MAX_INVITATION_CHARACTERS = 8192

export interface Invitation {
  /** In its shown form. */
  code: string
  /** Multiaddresses of devices, as text. */
  addresses: string[]
  /** Multiaddresses of relays, each with the relay's peer id. */
  relays: string[]
}

export type InvitationFault = 'not-a-code' | 'mistyped' | 'bad-address' | 'too-long'

/** The form of a multiaddress: visible ASCII from a slash on. Whether it can be dialled is seen when dialled. */
export function isAddress(text: string): boolean {
  return text.length <= MAX_ADDRESS_CHARACTERS && /^\/[!-~]+$/.test(text)
}

export function formatInvitation({ code, addresses, relays }: Invitation): string {
  const part = (name: string) => (address: string) =>
    `${name}=${encodeURIComponent(address).replaceAll('%2F', '/')}`
  const query = [...addresses.map(part('at')), ...relays.map(part('relay'))]
  return INVITATION_SCHEME + code + (query.length > 0 ? `?${query.join('&')}` : '')
}

function parseAddress(part: string): { name: 'at' | 'relay'; address: string } | undefined {
  const name = part.startsWith('at=') ? 'at' : part.startsWith('relay=') ? 'relay' : undefined
  if (!name) return undefined
  try {
    const address = decodeURIComponent(part.slice(name.length + 1))
    return isAddress(address) ? { name, address } : undefined
  } catch {
    return undefined // a broken percent escape
  }
}

/** Unknown parameters are refused: a later form of invitation must not be half understood. */
export function parseInvitation(text: string): Invitation | { error: InvitationFault } {
  const trimmed = text.trim()
  if (trimmed.length > MAX_INVITATION_CHARACTERS) return { error: 'too-long' }
  const scheme = trimmed.slice(0, INVITATION_SCHEME.length).toLowerCase() === INVITATION_SCHEME
  const rest = scheme ? trimmed.slice(INVITATION_SCHEME.length) : trimmed
  const mark = rest.indexOf('?')
  const parsed = parsePracticeCode(mark < 0 ? rest : rest.slice(0, mark))
  if ('error' in parsed) return parsed
  const parts = mark < 0 || mark === rest.length - 1 ? [] : rest.slice(mark + 1).split('&')
  if (parts.length > MAX_INVITATION_ADDRESSES) return { error: 'too-long' }
  const addresses: string[] = []
  const relays: string[] = []
  for (const part of parts) {
    const parsedPart = parseAddress(part)
    if (parsedPart === undefined) return { error: 'bad-address' }
    const list = parsedPart.name === 'at' ? addresses : relays
    list.push(parsedPart.address)
  }
  return { code: parsed.code, addresses, relays }
}
