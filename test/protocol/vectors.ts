import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fromHex } from '../../src/protocol/bytes.js'
import type { Random } from '../../src/protocol/natives.js'

/** A file of test/vectors, parsed. */
export function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8')) as T
}

export interface Wycheproof<Test> {
  testGroups: { publicKey?: { pk: string }; tests: (Test & WycheproofTest)[] }[]
}

export interface WycheproofTest {
  tcId: number
  comment: string
  result: 'valid' | 'invalid' | 'acceptable'
  flags: string[]
}

export const hex = (text: string): Uint8Array => fromHex(text.toLowerCase())

/** Repeatable random bytes for tests. */
export function seededRandom(seed: string): Random {
  let counter = 0
  return (lengthBytes) => {
    const bytes = new Uint8Array(lengthBytes)
    for (let offset = 0; offset < lengthBytes; offset += 32) {
      const block = createHash('sha256').update(`${seed} ${counter++}`).digest()
      bytes.set(block.subarray(0, Math.min(32, lengthBytes - offset)), offset)
    }
    return bytes
  }
}
