/**
 * `node scripts/protocol-examples.mjs [--write]`: what the documents say in bytes, numbers, labels and rules,
 * made by the real code from fixed keys. Without `--write` it prints the examples; with it, it puts all
 * generated parts into PROTOCOL.md and SECURITY.md. A test holds that they are current.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))

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

const LIMIT_FILES = [
  'protocol/limits',
  'protocol/framing',
  'protocol/sync',
  'protocol/sync-changes',
  'protocol/sync-states',
  'protocol/pairing-rules',
  'protocol/invitation',
  'protocol/pin',
  'protocol/roster-format',
  'protocol/roster',
  'protocol/epoch-keys',
  'protocol/mailbox-limits',
  'protocol/mailbox-meet',
  'protocol/envelope',
  'protocol/mail',
  'protocol/mail-plan',
  'protocol/mail-fold',
  'store/mail-out',
  'store/mail-sets',
  'store/statements',
  'node/mail-driver',
  'store/pruning',
  'node/frames',
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
  const context = { code, natives, toHex, utf8, concat, u32, office, laptop, practice, roster, log }
  const messages = { sync: syncMessages(context), pair: pairMessages(context) }
  return { ...context, ...messages, mail: letterExamples(context) }
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
  return { opening, update, change, head0, head1, signed, signature, id, run, check: checkOf(head1) }
}

/** One message of each kind of /kartoteka/sync/1, in the order of the schema. */
function syncMessages(context) {
  const { code, natives, utf8, practice, roster, log, laptop } = context
  const wire = code['protocol/wire']
  const blank = (type) => code['protocol/sync.gen'][type].decode(new Uint8Array(0))
  const { claimsDigest } = code['protocol/frontier']
  const indexKey = new Uint8Array(32).fill(0x77)
  const key = code['store/case-key'].caseKeysOf(natives, indexKey)('a1')
  const claim = wire.claimToWire({ log: log.id, seq: 1, check: log.check })
  const opening = wire.openingToWire(log.opening)
  const target = {
    log: log.id,
    seq: 1,
    head: log.head1,
    signature: log.signature,
    from: 0,
    fromCheck: new Uint8Array(0),
    check: log.check,
  }
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
      { transfer: 1, openings: [opening], target: [wire.targetToWire(target)], cases: 1, claims: [] },
    ],
    ['items', { transfer: 1, early: false, items: [item], claims: [], openings: [] }],
    ['end', { transfer: 1, missing: [] }],
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
function statement({ natives, utf8, concat, u32, practice, office, log }) {
  const logBytes = Uint8Array.from(log.id.match(/../g), (pair) => Number.parseInt(pair, 16))
  const head = [utf8('kartoteka/1 statement'), practice, office.ed, Uint8Array.of(16), logBytes, u32(1)]
  const claims = [logBytes, u32(1), log.check]
  const signature = natives.sign(office.edSecret, concat([...head, u32(1), ...claims]))
  const frontier = [{ log: logBytes, seq: 1, check: log.check }]
  return { device: office.ed, log: logBytes, counter: 1, frontier, signature, unusable: [] }
}

/** One pairing from the first byte to the last, and a refusal: "Laptop" joins "Office" with the PIN 482913. */
function pairMessages({ code, natives, office, laptop, roster, practice }) {
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

/** One letter of each kind from "Office", as in the other examples, and the first one in its envelope. */
function letterExamples(context) {
  const { code, natives, practice, roster, office, laptop, log } = context
  const wire = code['protocol/wire']
  const seal = code['protocol/envelope']
  const { Letter } = code['protocol/envelope.gen']
  const keys = code['protocol/epoch-keys'].envelopeKeys(roster.first)
  const opening = wire.openingToWire(log.opening)
  const claim = wire.claimToWire({ log: log.id, seq: 1, check: log.check })
  const { items } = context.code['protocol/wire'].decodeFrame(
    syncMessages(context).find(({ kind }) => kind === 'items').bytes,
  ).value
  const set = new Uint8Array(16).fill(0x5e)
  const part = { set, index: 0, last: false, target: [], openings: [], items: [], stretches: [], claims: [] }
  const target = {
    log: log.id,
    seq: 1,
    head: log.head1,
    signature: log.signature,
    from: 0,
    fromCheck: new Uint8Array(0),
    check: log.check,
  }
  const left = [{ recipient: laptop.ed, frontier: [{ ...claim, check: new Uint8Array(0) }], counter: 1 }]
  const word = {
    statement: statement(context),
    openings: [],
    cuts: [],
    ladder: [],
    left,
    incarnation: new Uint8Array(16).fill(0x1c),
    newer: [],
  }
  const stretch = { log: claim.log, from: 0, checks: log.check }
  const bodies = [
    ['CHANGES', { $case: 'changes', value: { openings: [opening], runs: [wire.runToWire(log.run)] } }],
    [
      'STATES, the first part',
      { $case: 'states', value: { ...part, target: [wire.targetToWire(target)], openings: [opening] } },
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
  const none = new Uint8Array(8)
  const range = { log: log.id, from: 0, fromCheck: none, to: 1, toCheck: log.check }
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

// ---- as text

const hexLines = (hex) => hex.match(/.{1,64}/g)?.join('\n') ?? ''

/** Every field that isn't at its default, one a line: `open[0].seq = 1`. */
function fieldLines(value, toHex, path = '') {
  if (value instanceof Uint8Array) return value.length === 0 ? [] : [`${path} = ${shortened(toHex(value))}`]
  if (Array.isArray(value)) return value.flatMap((item, at) => fieldLines(item, toHex, `${path}[${at}]`))
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([name, inner]) =>
      fieldLines(inner, toHex, path ? `${path}.${name}` : name),
    )
  }
  return value === 0 || value === '' || value === false ? [] : [`${path} = ${JSON.stringify(value)}`]
}

const shortened = (hex) => (hex.length <= 64 ? hex : `${hex.slice(0, 48)}… (${hex.length / 2} bytes)`)

const block = (...parts) => ['```', ...parts.filter((part) => part !== ''), '```'].join('\n')

/** The section of PROTOCOL.md between its marks. */
export function examplesText(code) {
  const made = makeExamples(code)
  const { toHex, office, laptop, practice, log, natives, roster, sync, pair, mail } = made
  const say = (name, bytes) => `${name} = ${toHex(bytes)}`
  const digest = code['protocol/frontier'].claimsDigest(natives, [
    { ...log.opening, log: log.id, seq: 1, check: log.check, cut: undefined },
  ])
  const indexKey = new Uint8Array(32).fill(0x77)
  const invitation = {
    code: code['protocol/practice-code'].practiceCode(natives, practice),
    addresses: ['/ip4/192.0.2.7/tcp/4001'],
    relays: [],
  }
  const { encodeFrames } = code['protocol/framing']
  const alive = sync.find(({ kind }) => kind === 'alive').bytes
  const bulk = encodeFrames('bulk', Uint8Array.of(1, 2, 3, 4, 5), 3)
  const lines = [
    '### Keys',
    block(
      '"Office": Ed25519 seed 01 × 32, X25519 secret 11 × 32',
      say('ed', office.ed),
      say('x ', office.x),
      '"Laptop": Ed25519 seed 02 × 32, X25519 secret 12 × 32',
      say('ed', laptop.ed),
      say('x ', laptop.x),
      say('practice id', practice),
    ),
    '### Frames',
    block(
      `${toHex(encodeFrames('live', alive, 65536)[0])}   a live message of ${alive.length} bytes, whole`,
      `${toHex(bulk[0])}       a bulk message of five bytes, its first fragment`,
      `${toHex(bulk[1])}         and its last`,
    ),
    '### A log, a change, a head, a signature',
    block(
      say('opening.device', log.opening.device),
      say('opening.random', log.opening.random),
      say('head(0)', log.head0),
      `log id = ${log.id}`,
      say('Yjs update', log.update),
      say('payload', log.change.payload),
      `case id "a1", generation 0, at ${log.change.at}, kind 1`,
      say('head(1)', log.head1),
      say('check(1)', log.check),
      say('signature over (practice, log id, 1, head(1))', log.signature),
      say('digest of the one claim', digest),
      say(
        'case key of "a1" under the index key 77 × 32',
        code['store/case-key'].caseKeysOf(natives, indexKey)('a1'),
      ),
    ),
    '### Practice code and invitation',
    block(invitation.code, code['protocol/invitation'].formatInvitation(invitation)),
    '### Messages of /kartoteka/sync/1',
    ...sync.map(({ kind, value, bytes }) =>
      [
        `**${kind.toUpperCase()}**, ${bytes.length} bytes`,
        '',
        block(...fieldLines(value, toHex), '', hexLines(toHex(bytes))),
      ].join('\n'),
    ),
    '### Messages of /kartoteka/pair/1',
    'One whole pairing: "Laptop" (N) joins at "Office" (E) with the PIN 482913; and one refusal.',
    ...pair.map(({ kind, who, value, bytes }) =>
      [
        `**${kind.toUpperCase()}**, ${who}, ${bytes.length} bytes`,
        '',
        block(...fieldLines(value, toHex), '', hexLines(toHex(bytes))),
      ].join('\n'),
    ),
    '### Letters and an envelope',
    'From "Office", under the first epoch key of the practice above.',
    block(
      say('epoch key', roster.first.key),
      say('key id', mail.keys.keyId),
      say('envelope key', mail.keys.sealKey),
      say('envelope id key', mail.keys.idKey),
      ...mail.ids.map(([what, id]) => say(`id of ${what}`, id)),
    ),
    ...mail.letters.map(({ name, value, bytes }) =>
      [
        `**${name}**, ${bytes.length} bytes`,
        '',
        block(...fieldLines(value, toHex), '', hexLines(toHex(bytes))),
      ].join('\n'),
    ),
    [
      `**The first letter in its envelope**, ${mail.envelope.length} bytes; the nonce counts up from 00`,
      '',
      block(hexLines(toHex(mail.envelope))),
    ].join('\n'),
    '### Roster entries',
    ...roster.entries.map(([what, entry]) =>
      [`**${what}**, ${entry.length} bytes`, '', block(hexLines(toHex(entry)))].join('\n'),
    ),
  ]
  return lines.join('\n\n')
}

const sourceOf = (name) => readFileSync(join(root, 'src', `${name}.ts`), 'utf8')
const oneLine = (comment) =>
  comment
    .replace(/^\s*\*/gm, '')
    .replace(/\s+/g, ' ')
    .trim()
/** Of the limits, not these: codes and bits. */
const NO_LIMIT = /^(RAW|DEFLATE|BULK|MORE|SKIP|GC|LAST_TYPE|HAS_\w+|XML_\w+)$/

/** Constants in capitals that are plain numbers, with the comment above them: name, value, reason. */
function limitsIn(name) {
  const pattern = /(?:\/\*\*((?:[^*]|\*(?!\/))*)\*\/\n)?(?:export )?const ([A-Z][A-Z0-9_]+) = ([\d_ *]+)\n/g
  let reason = ''
  let end = 0
  return [...sourceOf(name).matchAll(pattern)].map((found) => {
    const [all, comment, constant, sum] = found
    if (comment !== undefined) reason = oneLine(comment).replace(/ \(document \d[^)]*\)/, '')
    else if (found.index !== end) reason = ''
    end = found.index + all.length
    const value = sum.split(/(?<!\*)\*(?!\*)/).reduce((product, factor) => {
      const [base, power = 1] = factor.split('**').map((digits) => Number(digits.replaceAll('_', '').trim()))
      return product * base ** power
    }, 1)
    // Two constants under one comment: the second one's reason is the first one's.
    return { constant, value, reason }
  })
}

/** The table of limits in PROTOCOL.md. */
export function limitsText() {
  const parts = LIMIT_FILES.map((name) => {
    const rows = limitsIn(name)
      .filter(({ constant }) => !NO_LIMIT.test(constant))
      .map(
        ({ constant, value, reason }) => `| \`${constant}\` | ${value.toLocaleString('en-US')} | ${reason} |`,
      )
    return [`\`src/${name}.ts\``, '', '| constant | value | reason |', '|---|---:|---|', ...rows].join('\n')
  })
  return parts.join('\n\n')
}

/** The tables of labels in SECURITY.md: those of labels.ts, and every other domain of the sources. */
export function labelsText() {
  const labels = [
    ...sourceOf('protocol/labels').matchAll(/\/\*\* (.+?) \*\/\nexport const (\w+) = '([^']+)'/g),
  ]
  const rows = labels.map(([, what, constant, label]) => `| \`${label}\` | ${what} | \`${constant}\` |`)
  const others = sourceFiles().flatMap((file) =>
    [
      ...readFileSync(join(root, file), 'utf8').matchAll(/^const (\w+) = utf8\('(kartoteka\/1 [^']+)'\)/gm),
    ].map(([, constant, label]) => `| \`${label}\` | \`${constant}\` in \`${file}\` |`),
  )
  return [
    '| label | what for | constant in `src/protocol/labels.ts` |',
    '|---|---|---|',
    ...rows,
    '',
    'Domains of hashes and signatures outside the trust part:',
    '',
    '| domain | constant |',
    '|---|---|',
    ...others,
  ].join('\n')
}

function sourceFiles() {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .map((name) => `src/${name.replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.gen.ts') && name !== 'src/protocol/labels.ts')
    .sort()
}

/** Every rule with its wording, from the first comment of the file that keeps it. */
export function rules() {
  return sourceFiles().flatMap((file) => {
    const [, header] = /^\/\*\*((?:[^*]|\*(?!\/))*)\*\//.exec(readFileSync(join(root, file), 'utf8')) ?? []
    const paragraphs = (header ?? '').replace(/^ \* ?/gm, '').split(/\n(?=\s*\[[A-Z]\d+\])|\n\s*\n/)
    return paragraphs.flatMap((paragraph) => {
      const [, id, wording] = /^\s*\[([A-Z]\d+)\]([\s\S]*)/.exec(paragraph) ?? []
      return id ? [{ id, wording: oneLine(wording).replace(/[;.]$/, ''), file }] : []
    })
  })
}

/** The tests that name a rule. Two families share the letter F: their tests tell which is meant. */
function testsOf({ id, file }) {
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((name) => `test/${name.replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith('.ts') && !name.startsWith('test/house/'))
    .filter((name) => readFileSync(join(root, name), 'utf8').includes(`[${id}]`))
    .filter((name) => !id.startsWith('F') || name.includes('roster') === file.includes('roster'))
    .sort()
}

/** Where tests hold a rule without naming it. */
const UNNAMED = {
  'src/protocol/roster.ts': '`test/protocol/roster.test.ts`, unnamed',
  'src/protocol/pairing-join.ts': '`test/protocol/pairing.test.ts`, unnamed',
}

/** The table of rules in PROTOCOL.md. */
export function rulesText() {
  const order = 'FDATXSHRENVLPB'
  const rows = rules()
    .sort((a, b) => order.indexOf(a.id[0]) - order.indexOf(b.id[0]) || (a.file < b.file ? -1 : 1))
    .map((rule) => {
      const tests = testsOf(rule).map((name) => `\`${name}\``)
      return `| [${rule.id}] | ${rule.wording} | \`${rule.file}\` | ${tests.join(', ') || UNNAMED[rule.file] || ''} |`
    })
  return ['| rule | what it says | kept by | held by |', '|---|---|---|---|', ...rows].join('\n')
}

/** Every generated part: its document, its mark, its text. */
export function generatedParts(code) {
  return [
    { document: 'PROTOCOL.md', mark: 'rules', text: rulesText() },
    { document: 'PROTOCOL.md', mark: 'limits', text: limitsText() },
    { document: 'PROTOCOL.md', mark: 'examples', text: examplesText(code) },
    { document: 'SECURITY.md', mark: 'labels', text: labelsText() },
  ]
}

const start = (mark) => `<!-- generated: ${mark} -->`
const end = (mark) => `<!-- end of generated: ${mark} -->`

/** What stands between the marks of a document now; undefined without marks. */
export function partOf(document, mark) {
  const text = readFileSync(join(root, document), 'utf8')
  const [from, to] = [text.indexOf(start(mark)), text.indexOf(end(mark))]
  return from < 0 || to < from ? undefined : text.slice(from + start(mark).length, to).trim()
}

function write(document, mark, part) {
  const path = join(root, document)
  const text = readFileSync(path, 'utf8')
  const [from, to] = [text.indexOf(start(mark)), text.indexOf(end(mark))]
  if (from < 0 || to < from) throw new Error(`${document} has no marks for ${mark}`)
  writeFileSync(path, `${text.slice(0, from + start(mark).length)}\n\n${part}\n\n${text.slice(to)}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { createServer } = await import('vite')
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'error',
    server: { middlewareMode: true, watch: null, ws: false },
    appType: 'custom',
    optimizeDeps: { noDiscovery: true, include: [] },
  })
  const load = async (name) => [name, await server.ssrLoadModule(`/src/${name}.ts`)]
  const code = Object.fromEntries(await Promise.all(MODULES.map(load)))
  if (!process.argv.includes('--write')) console.log(examplesText(code))
  else for (const { document, mark, text } of generatedParts(code)) write(document, mark, text)
  await server.close()
}
