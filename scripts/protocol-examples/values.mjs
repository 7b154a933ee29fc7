/** Everything that the examples of PROTOCOL.md show, as values and bytes: made by the real code from fixed keys. */
import { letterExamples } from './letters.mjs'
import { pairMessages, syncMessages } from './messages.mjs'

/** The modules that the examples are made with. */
export const MODULES = [
  'cases/create',
  'cases/inspect',
  'cases/project',
  'protocol/bytes',
  'protocol/ed25519',
  'protocol/envelope',
  'protocol/envelope.gen',
  'protocol/epoch-keys',
  'protocol/fork',
  'protocol/framing',
  'protocol/frontier',
  'protocol/hpke',
  'protocol/invitation',
  'protocol/log',
  'protocol/pairing-join',
  'protocol/pairing-rules',
  'protocol/pairing-window',
  'protocol/payload',
  'protocol/pin',
  'protocol/portable',
  'protocol/practice-code',
  'protocol/roster',
  'protocol/roster-format',
  'protocol/roster-open',
  'protocol/roster-write',
  'protocol/sync.gen',
  'protocol/wire',
  'store/case-content',
  'store/case-key',
]

/** Bytes that are random in life: here they count up, and so are the same at every run. */
function countingRandom() {
  let next = 0
  return (length) => Uint8Array.from({ length }, () => next++ & 0xff)
}

/**
 * Everything that the examples show, as values and bytes.
 *
 * @param {Record<string, any>} code The modules of MODULES by name.
 */
export function makeExamples(code) {
  const { portableNatives: natives } = code['protocol/portable']
  const { toHex, utf8, concat, u32 } = code['protocol/bytes']
  const fixed = { natives, random: countingRandom() }
  const device = (byte, name) => {
    const [edSecret, xSecret] = [new Uint8Array(32).fill(byte), new Uint8Array(32).fill(byte + 0x10)]
    const ed = code['protocol/ed25519'].edPublicKey(edSecret)
    return { name, edSecret, xSecret, ed, x: code['protocol/hpke'].xPublicKey(xSecret) }
  }
  const [office, laptop] = [device(1, 'Office'), device(2, 'Laptop')]
  const roster = rosterExamples(code, fixed, office, laptop, device(3, ''))
  const practice = roster.genesis.practiceId
  const log = logExample(code, natives, practice, office)
  const context = {
    code,
    natives,
    countingRandom,
    toHex,
    utf8,
    concat,
    u32,
    office,
    laptop,
    practice,
    roster,
    log,
  }
  const messages = { sync: syncMessages(context), pair: pairMessages(context) }
  return { ...context, ...messages, mail: letterExamples(context, messages.sync) }
}

function rosterExamples(code, { natives, random }, office, laptop, recovery) {
  const write = code['protocol/roster-write']
  const must = (written) => {
    if ('error' in written) throw new Error(written.error)
    return written
  }
  const entries = []
  const genesis = must(write.createGenesis({ natives, random, device: office, practiceName: 'Praxis' }))
  entries.push(['GENESIS: the practice "Praxis", begun by "Office"', genesis.entry])
  let epochKey = genesis.epochKey
  let roster = genesis.roster
  const context = () => ({ natives, random, roster, author: office, epochKey })
  const asking = { ...laptop, selfSignature: write.signEnrolment(natives, roster.practiceId, laptop) }
  const steps = [
    ['ADD: "Laptop", signed by "Office"', () => write.addDevice(context(), asking)],
    [
      'SETTINGS: "Laptop" is now called "Travel"',
      () =>
        write.changeSettings(context(), {
          deviceNames: { [code['protocol/bytes'].toHex(laptop.ed)]: 'Travel' },
        }),
    ],
    ['ROTATE: epoch 2', () => write.rotateEpoch(context())],
    [
      'RECOVERY: generation 1, epoch 3',
      () => {
        const { ed: rs, x: rk } = recovery
        return write.registerRecovery(context(), {
          generation: 1,
          rs,
          rk,
          records: new Uint8Array(32).fill(9),
        })
      },
    ],
    [
      'REMOVE: "Laptop", no cuts, epoch 4',
      () => write.removeDevices(context(), { ids: [laptop.ed], cuts: [] }),
    ],
  ]
  for (const [what, step] of steps) {
    const written = must(step())
    entries.push([what, written.entry])
    roster = written.roster
    epochKey = written.epochKey ?? epochKey
  }
  const both = code['protocol/roster'].applyEntries(
    natives,
    undefined,
    entries.slice(0, 2).map(([, entry]) => entry),
  )
  const first = { practice: genesis.roster.practiceId, number: 1, key: genesis.epochKey }
  return { genesis: genesis.roster, both: both.roster, last: roster, entries, first }
}

/** One log of "Office" with one change: a new case. */
function logExample(code, natives, practice, office) {
  const { logIdBytes, logIdOf, nextHead, openingHead, signedHeadBytes, checkOf, KIND_UPDATE } =
    code['protocol/log']
  const opening = { device: office.ed, random: new Uint8Array(16).fill(0xa1), predecessor: new Uint8Array(0) }
  const update = code['cases/create'].createUpdate(
    { id: 'a1', patient: { lastName: 'Nowak' } },
    natives.sha256,
  )
  const payload = code['protocol/payload'].encodePayload(natives, update)
  const change = { caseId: 'a1', generation: 0, at: 1_700_000_000_000, kind: KIND_UPDATE, payload }
  const head0 = openingHead(natives, opening)
  const head1 = nextHead(natives, head0, 1, change)
  const signed = signedHeadBytes(practice, logIdBytes(natives, opening), 1, head1)
  const signature = natives.sign(office.edSecret, signed)
  const id = logIdOf(natives, opening)
  const run = { log: id, from: 0, changes: [change], signature }
  const check = checkOf(head1)
  const target = { log: id, seq: 1, head: head1, signature, from: 0, fromCheck: new Uint8Array(0), check }
  return { opening, update, change, head0, head1, signed, signature, id, run, check, target }
}
