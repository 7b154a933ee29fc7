/** Addresses of relays as a person tells them apart. */

/** The long name at the end is a key: its beginning is the same for all, its last letters are enough. */
const shownOfKey = 6

/** "/dns4/relay.example.org/tcp/4001 … CVe2Xo"; an address without a key as it is. */
export function shortAddress(address: string): string {
  const parts = /^(.+)\/p2p\/([^/]+)$/.exec(address)
  const [, place, key = ''] = parts ?? []
  return place && key.length > 2 * shownOfKey ? `${place} … ${key.slice(-shownOfKey)}` : address
}
