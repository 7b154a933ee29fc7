/** Looks at a protobuf message before it is decoded: how many objects would it become? */

/** Elements that a message may hold beyond those that its size explains. */
const SPARE_ELEMENTS = 10_000
const BYTES_PER_ELEMENT = 16

/** Which fields hold messages, by number, from the outermost message down: what decoding makes objects of. */
export interface Nested {
  [field: number]: Nested
}

/** A message of nothing but empty elements would become a thousand times its size in objects. */
export function hasSoundCounts(bytes: Uint8Array, nested: Nested): boolean {
  const most = SPARE_ELEMENTS + bytes.length / BYTES_PER_ELEMENT
  let count = 0
  // As the codec reads them: whatever is beyond 32 bits doesn't count.
  const varint = (at: number): [value: number, next: number] => {
    let value = 0
    for (let shift = 0; shift < 10; shift++) {
      const byte = bytes[at++] ?? 0
      if (shift < 5) value += (byte & 0x7f) * 2 ** (7 * shift)
      if (byte < 0x80) break
    }
    return [value % 2 ** 32, at]
  }
  const walk = (start: number, end: number, inside: Nested): boolean => {
    for (let at = start; at < end; ) {
      if (++count > most) return false
      const [tag, behind] = varint(at)
      at = behind
      const kind = tag % 8
      if (kind === 0) at = varint(at)[1]
      else if (kind === 1) at += 8
      else if (kind === 5) at += 4
      else if (kind === 2) {
        const [length, from] = varint(at)
        const inner = inside[Math.floor(tag / 8)]
        at = from + length
        // The codec would read on behind its end, and see other elements than are counted here.
        if (at > end || (inner && !walk(from, at, inner))) return false
      } else return false // a group, which nothing of ours writes: the codec skips it and reads on
    }
    return true
  }
  return walk(0, bytes.length, nested)
}
