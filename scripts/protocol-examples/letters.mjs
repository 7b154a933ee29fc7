/** What one device leaves for another at a relay. */
import { statement } from './messages.mjs'

/** One letter of each kind from "Office", as in the other examples, and the first one in its envelope. */
export function letterExamples(context, sync) {
  const { code, natives, countingRandom, practice, roster, office, laptop, log } = context
  const wire = code['protocol/wire']
  const seal = code['protocol/envelope']
  const { Letter } = code['protocol/envelope.gen']
  const keys = code['protocol/epoch-keys'].envelopeKeys(roster.first)
  const opening = wire.openingToWire(log.opening)
  const claim = wire.claimToWire({ log: log.id, seq: 1, check: log.check })
  const { items } = wire.decodeFrame(sync.find(({ kind }) => kind === 'items').bytes).value
  const set = new Uint8Array(16).fill(0x5e)
  const none = new Uint8Array(0)
  const lists = { target: [], openings: [], items: [], stretches: [], claims: [], missing: [] }
  const part = { set, index: 0, last: false, ...lists, answers: none }
  const asking = { id: new Uint8Array(16).fill(0xa5), wanted: [items[0].key], heard: [] }
  const left = [{ recipient: laptop.ed, frontier: [{ ...claim, check: none }], counter: 1 }]
  const word = {
    statement: statement(context),
    openings: [],
    cuts: [],
    ladder: [],
    left,
    incarnation: new Uint8Array(16).fill(0x1c),
    newer: [],
    asking,
  }
  const stretch = { log: claim.log, from: 0, checks: log.check }
  const bodies = [
    ['CHANGES', { $case: 'changes', value: { openings: [opening], runs: [wire.runToWire(log.run)] } }],
    [
      'STATES, the first part',
      { $case: 'states', value: { ...part, target: [wire.targetToWire(log.target)], openings: [opening] } },
    ],
    ['STATES, the second part', { $case: 'states', value: { ...part, index: 1, stretches: [stretch] } }],
    ['STATES, the last part', { $case: 'states', value: { ...part, index: 2, last: true, items } }],
    ['WORD', { $case: 'word', value: word }],
  ]
  const rosterHead = roster.both.head
  const letters = bodies.map(([name, body]) => {
    const bytes = Letter.encode({ sender: office.ed, rosterHead, body }).finish()
    return { name, value: Letter.decode(bytes), bytes }
  })
  const range = { log: log.id, from: 0, fromCheck: new Uint8Array(8), to: 1, toCheck: log.check }
  const id = seal.changesId(keys, [range], 0)
  const envelope = seal.sealEnvelope({
    natives,
    random: countingRandom(),
    practice,
    keys,
    id,
    sender: { ed: office.ed, secret: office.edSecret },
    rosterHead,
    body: bodies[0][1],
  })
  const ids = [
    ['changes (0..1] of the log, first attempt', id],
    ['the same, second attempt', seal.changesId(keys, [range], 1)],
    ['part 0 of the set', seal.statesId(keys, set, 0)],
    ['the word of "Office"', seal.wordId(keys, office.ed)],
  ]
  return { keys, letters, envelope, ids }
}
