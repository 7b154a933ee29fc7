/** Asking relays for a window: once more where none knows of one, for it may be on its way there. */
import { beforeEach, describe, expect, test } from 'vitest'
import { meetAt } from '../../src/node/device/meeting.js'
import type { Host } from '../../src/node/host.js'
import { publicKeyToPeerId } from '../../src/node/peer-id.js'
import { edPublicKey } from '../../src/protocol/ed25519.js'
import { decodeMeetFrame, encodeMeetFrame } from '../../src/protocol/mailbox-wire.js'
import { seeded } from '../support/random.js'

const random = seeded(61)
const [device, another] = [edPublicKey(random.bytes(32)), edPublicKey(random.bytes(32))]
const RELAYS = ['one', 'two'].map(() => {
  const id = publicKeyToPeerId(edPublicKey(random.bytes(32)))
  return `/ip4/192.0.2.1/tcp/4001/p2p/${id}`
})
const CODE = 'ABCDEF-GHJKMN-PQRSTV'

/** What each relay says, question after question; without an answer it can't be reached. */
let answers: Map<string, (Uint8Array[] | undefined)[]>
let asked: { relay: string; code: string }[]
let onAsked: () => void
beforeEach(() => {
  answers = new Map()
  asked = []
  onAsked = () => {}
})

const host = {
  async dial([relay]: string[]) {
    const found = answers.get(relay!)?.shift()
    if (!found) return { code: 'unreachable', sentence: '' }
    const channel = {
      send(_lane: string, bytes: Uint8Array) {
        const frame = decodeMeetFrame(bytes)
        asked.push({ relay: relay!, code: frame?.$case === 'find' ? frame.value.code : '' })
        onAsked()
      },
      messages: (async function* () {
        yield { bytes: encodeMeetFrame({ $case: 'found', value: { devices: found } }) }
      })(),
      abort() {},
      async close() {},
    }
    return { channel }
  },
} as unknown as Host

const meet = (relays: string[], isOptional = false, signal = new AbortController().signal) =>
  meetAt(host, relays, CODE, isOptional, signal)

describe('a window that no relay knows of', () => {
  test('is asked for once more, without the code’s check characters', async () => {
    const [one, two] = RELAYS as [string, string]
    answers.set(one, [[], [device]]).set(two, [[], [device, another]])
    expect(await meet(RELAYS)).toEqual([device, another].map(publicKeyToPeerId))
    expect(asked.map(({ relay }) => relay)).toEqual([one, two, one, two])
    expect(new Set(asked.map(({ code }) => code))).toEqual(new Set(['ABCDEFGHJKMNPQRS']))
  })

  test('is asked for twice, and no more', async () => {
    answers.set(RELAYS[0]!, [[], [], [device]])
    expect(await meet([RELAYS[0]!])).toEqual([])
    expect(asked).toHaveLength(2)
  })

  test('is not asked for again by who has other ways', async () => {
    answers.set(RELAYS[0]!, [[], [device]])
    expect(await meet([RELAYS[0]!], true)).toEqual([])
    expect(asked).toHaveLength(1)
  })

  test('is not asked for again where a relay can’t be reached, which is said', async () => {
    answers.set(RELAYS[0]!, [[], [device]])
    await expect(meet(RELAYS)).rejects.toMatchObject({ code: 'relay-unreachable' })
    expect(asked).toHaveLength(1)
  })

  test('is not asked for again by who has given up meanwhile', async () => {
    const end = new AbortController()
    answers.set(RELAYS[0]!, [[], [device]])
    onAsked = () => queueMicrotask(() => end.abort())
    expect(await meet([RELAYS[0]!], false, end.signal)).toEqual([])
    expect(asked).toHaveLength(1)
  })
})

test('a window that one relay knows of is asked for once, whatever the others say', async () => {
  answers.set(RELAYS[1]!, [[device], []])
  expect(await meet(RELAYS)).toEqual([publicKeyToPeerId(device)])
  expect(asked).toHaveLength(1)
})
