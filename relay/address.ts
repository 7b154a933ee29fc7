/** Whom a limit by address means: an IPv4 address, or the 64 bits of IPv6 that one customer has. */
const GROUPS_OF_NETWORK = 4
const GROUPS = 8

/** Of a multiaddr; anything without an IP address counts as one. */
export function networkOf(multiaddr: string): string {
  const [, kind, address = ''] = multiaddr.split('/')
  if (kind === 'ip4') return address
  if (kind !== 'ip6') return 'elsewhere'
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped) return mapped[1]!
  const [before = '', after] = address.toLowerCase().split('::')
  const groups = (text: string) => text.split(':').filter(Boolean)
  const [left, right] = [groups(before), groups(after ?? '')]
  const missing = after === undefined ? 0 : Math.max(0, GROUPS - left.length - right.length)
  const all = [...left, ...Array.from({ length: missing }, () => '0'), ...right]
  return `${all
    .slice(0, GROUPS_OF_NETWORK)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
