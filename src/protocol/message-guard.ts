/** Looks at a protobuf message before it is decoded: how much memory would it become? */

/**
 * Units are fields that become objects: a view of bytes, a text, a message of such. Each takes about 100 bytes, one
 * with lists of its own about three times that. The smallest of honest elements, a clock, has 6 bytes on the wire.
 */
const BYTES_PER_UNIT = 5
/** Beyond those that its size explains. */
const SPARE_UNITS = 10_000
/** 64 MB. The longest honest message names 65,536 logs with their openings: 460,000. */
const MAX_UNITS = 600_000
const UNITS_OF_LISTS = 3

/** Which fields hold messages, by number, from the outermost message down: what decoding makes objects of. */
export interface Nested {
  [field: number]: Nested
}

function unitsOf(inside: Nested | undefined): number {
  for (const _ in inside) return UNITS_OF_LISTS
  return 1
}

/** A message of nothing but empty elements would become a thousand times its size in objects. */
export function hasSoundCounts(bytes: Uint8Array, nested: Nested): boolean {
  const most = Math.min(MAX_UNITS, SPARE_UNITS + bytes.length / BYTES_PER_UNIT)
  let units = 0
  /** Behind what was read last. Not given back beside the value: a pair for each number would be most of the work. */
  let next = 0
  // As the codec reads them: whatever is beyond 32 bits doesn't count.
  const varint = (from: number): number => {
    const first = bytes[from] ?? 0
    // Nearly all have one byte.
    if (first < 0x80) {
      next = from + 1
      return first
    }
    next = from
    let value = 0
    for (let shift = 0; shift < 10; shift++) {
      const byte = bytes[next++] ?? 0
      if (shift < 5) value += (byte & 0x7f) * 2 ** (7 * shift)
      if (byte < 0x80) break
    }
    return value % 2 ** 32
  }
  const walk = (start: number, end: number, inside: Nested): boolean => {
    for (let at = start; at < end; ) {
      const tag = varint(at)
      at = next
      const kind = tag % 8
      let inner: Nested | undefined
      let from = at
      if (kind === 0) {
        varint(at)
        at = next
      } else if (kind === 1) at += 8
      else if (kind === 5) at += 4
      else if (kind === 2) {
        const length = varint(at)
        inner = inside[Math.floor(tag / 8)]
        units += unitsOf(inner)
        if (units > most) return false
        from = next
        at = from + length
      } else return false // a group, which nothing of ours writes: the codec skips it and reads on
      // The codec would read on behind the end, and see other elements than are counted here.
      if (at > end || (inner && !walk(from, at, inner))) return false
    }
    return true
  }
  return walk(0, bytes.length, nested)
}
