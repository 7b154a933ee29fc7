/** One message of each kind that two devices say to each other. */

/** One message of each kind of /kartoteka/sync/1, in the order of the schema. */
export function syncMessages(context) {
  const { code, natives, utf8, practice, roster, log, laptop } = context
  const wire = code['protocol/wire']
  const blank = (type) => code['protocol/sync.gen'][type].decode(new Uint8Array(0))
  const { claimsDigest } = code['protocol/frontier']
  const indexKey = new Uint8Array(32).fill(0x77)
  const key = code['store/case-key'].caseKeysOf(natives, indexKey)('a1')
  const claim = wire.claimToWire({ log: log.id, seq: 1, check: log.check })
  const opening = wire.openingToWire(log.opening)
  const { clients } = code['cases/inspect'].inspectUpdate(log.update)
  const row = JSON.stringify(
    code['cases/project'].projectRow(code['store/case-content'].docOf([log.update]), natives.sha256),
  )
  const item = {
    ...blank('Item'),
    key,
    caseId: 'a1',
    generation: 0,
    erased: 0,
    touched: [{ log: claim.log, seq: 1 }],
    parts: [log.change.payload],
    parked: [],
    row: utf8(row),
    clocks: clients.map(({ client, to }) => ({ client, clock: to })),
    more: false,
  }
  const hello = {
    ...blank('Hello'),
    oldest: 1,
    newest: 1,
    practice,
    rosterHead: roster.both.head,
    round: 1,
    answers: 0,
    open: [claim],
    closed: claimsDigest(natives, []),
    doubts: [],
    statements: natives.sha256(new Uint8Array(0)).subarray(0, 16),
    complete: true,
  }
  const held = { ...log.opening, log: log.id, seq: 1, check: log.check, cut: { seq: 1, check: log.check } }
  const pairs = code['protocol/bytes'].concat([key, new Uint8Array(16).fill(0xf0)])
  const kinds = [
    ['hello', hello],
    ['claims', { closed: [claim], cuts: [wire.cutToWire(held)], openings: [opening] }],
    ['roster', { entries: [roster.entries[0][1]] }],
    ['statements', { statements: [statement(context)] }],
    ['changes', { openings: [opening], runs: [wire.runToWire(log.run)] }],
    ['offer', { cases: 1 }],
    ['take', { transfer: 1, after: new Uint8Array(0), frontier: [] }],
    [
      'begin',
      { transfer: 1, openings: [opening], target: [wire.targetToWire(log.target)], cases: 1, claims: [] },
    ],
    ['items', { transfer: 1, early: false, items: [item], claims: [], openings: [], missing: [] }],
    ['end', { transfer: 1, missing: [], kept: [] }],
    ['ack', { claims: [claim], transfer: 0, cursor: new Uint8Array(0), bulkBytes: 239 }],
    ['need', { log: claim.log, from: 0 }],
    ['want', { keys: [key] }],
    ['fork', { log: claim.log, points: code['protocol/fork'].encodePoints([{ seq: 1, check: log.check }]) }],
    ['alive', { number: 1, answer: false }],
    ['refuse', { code: 'refused' }],
    ['neighbours', { devices: [laptop.ed] }],
    ['ask', { question: 1 }],
    ['fingerprints', { question: 1, pairs, last: true }],
    ['addresses', { addresses: ['/ip4/192.0.2.7/tcp/4001'] }],
    ['checks', { transfer: 1, stretches: [{ log: claim.log, from: 0, checks: log.check }] }],
  ]
  return kinds.map(([kind, value]) => {
    const bytes = wire.encodeFrame({ $case: kind, value })
    return { kind, value: wire.decodeFrame(bytes).value, bytes }
  })
}

/** As the specification says it: the code that signs it keeps these bytes to itself, and a test admits it. */
export function statement({ natives, utf8, concat, u32, practice, office, log }) {
  const logBytes = Uint8Array.from(log.id.match(/../g), (pair) => Number.parseInt(pair, 16))
  const head = [utf8('kartoteka/1 statement'), practice, office.ed, Uint8Array.of(16), logBytes, u32(1)]
  const claims = [logBytes, u32(1), log.check]
  const signature = natives.sign(office.edSecret, concat([...head, u32(1), ...claims]))
  const frontier = [{ log: logBytes, seq: 1, check: log.check }]
  return { device: office.ed, log: logBytes, counter: 1, frontier, signature, unusable: [] }
}

/** One pairing from the first byte to the last, and a refusal: "Laptop" joins "Office" with the PIN 482913. */
export function pairMessages({ code, natives, countingRandom, office, laptop, roster, practice }) {
  const { encodePairFrame, decodePairFrame, refusal } = code['protocol/pairing-rules']
  const pin = () => code['protocol/pin'].pinToBytes('482913')
  const random = countingRandom()
  const window = new code['protocol/pairing-window'].PairingWindow({
    natives,
    random,
    ed: office.ed,
    pin: pin(),
    practiceId: practice,
    addresses: ['/ip4/192.0.2.7/tcp/4001'],
  })
  const joining = new code['protocol/pairing-join'].Joining({
    natives,
    random,
    device: laptop,
    pin: pin(),
    remote: office.ed,
    addresses: ['/ip4/192.0.2.9/tcp/4001'],
    spent: new Map(),
  })
  const sent = []
  let now = roster.genesis
  const carry = (who, frame) => {
    const bytes = encodePairFrame(frame)
    const arrived = decodePairFrame(bytes)
    sent.push({ kind: frame.$case, who, value: arrived.value, bytes })
    return arrived
  }
  const existing = (event) => {
    for (const effect of window.step(event)) {
      if (effect.kind === 'send') newDevice({ kind: 'frame', frame: carry('E → N', effect.frame) })
      if (effect.kind === 'count-try') existing({ kind: 'counted', session: 1, roster: now })
      if (effect.kind === 'ask') existing({ kind: 'answered', session: 1, add: true })
      if (effect.kind === 'enrol') {
        now = roster.both
        existing({ kind: 'enrolled', session: 1, roster: now })
      }
    }
  }
  const newDevice = (event) => {
    for (const effect of joining.step(event)) {
      if (effect.kind === 'send') {
        const frame = carry('N → E', effect.frame)
        existing({ kind: 'frame', session: 1, remote: laptop.ed, roster: now, frame })
      }
      if (effect.kind === 'store') newDevice({ kind: 'stored' })
    }
  }
  existing({ kind: 'open' })
  newDevice({ kind: 'start' })
  carry('either', refusal('wrong-pin', 4))
  return sent
}
