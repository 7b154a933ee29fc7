/** A seeded generator (mulberry32): the same seed, the same world. */
export interface Random {
  (): number
  int(low: number, high: number): number
  pick<T>(list: readonly T[]): T
  bytes(length: number): Uint8Array
}

export function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  return Object.assign(next, {
    int: (low: number, high: number) => low + Math.floor(next() * (high - low + 1)),
    pick: <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!,
    bytes: (length: number) => {
      const bytes = new Uint8Array(length)
      for (let at = 0; at < length; at++) bytes[at] = next() * 256
      return bytes
    },
  })
}
