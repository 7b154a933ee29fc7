/** The generated parts of PROTOCOL.md and SECURITY.md are what the code gives, and their bytes are taken by it. */
import { describe, expect, it } from 'vitest'
import { labelsText, rules } from '../../scripts/protocol-examples/tables.mjs'
import { MODULES, makeExamples } from '../../scripts/protocol-examples/values.mjs'
import { generatedParts, partOf } from '../../scripts/protocol-examples.mjs'
import { openEnvelope } from '../../src/protocol/envelope.js'
import { portableNatives } from '../../src/protocol/portable.js'
import { applyEntries } from '../../src/protocol/roster.js'
import { decodeFrame } from '../../src/protocol/wire.js'
import type { Replica } from '../../src/store/replica.js'
import { Statements } from '../../src/store/statements.js'

const sourceOf = (name: string) => new URL(`../../src/${name}.ts`, import.meta.url).href
const load = async (name: string) => [name, await import(sourceOf(name))] as const
const code = Object.fromEntries(await Promise.all(MODULES.map(load)))
const examples = makeExamples(code)
const parts = generatedParts(code)

/** A table without its last column. */
const withoutLast = (table: string) =>
  table.split('\n').map((row) => row.split(' | ').slice(0, -1).join(' | '))

describe('the documents', () => {
  const whole = parts.filter(({ mark }) => mark !== 'rules')

  it.each(whole)('$document: $mark (else: node scripts/protocol-examples.mjs --write)', (part) => {
    expect(partOf(part.document, part.mark)).toBe(part.text)
  })

  it('PROTOCOL.md names every rule as the code words it', () => {
    const made = parts.find(({ mark }) => mark === 'rules')?.text ?? ''
    expect(rules().length).toBeGreaterThan(35)
    expect(withoutLast(partOf('PROTOCOL.md', 'rules') ?? '')).toEqual(withoutLast(made))
  })

  it('PROTOCOL.md names only tests that hold a rule', () => {
    const made = parts.find(({ mark }) => mark === 'rules')?.text.split('\n') ?? []
    const written = (partOf('PROTOCOL.md', 'rules') ?? '').split('\n')
    written.forEach((row, at) => {
      for (const [name] of row.matchAll(/test\/[\w/.-]+/g)) expect(made[at]).toContain(name)
    })
  })

  it('every label and domain is used for one thing only', () => {
    const labels = [...labelsText().matchAll(/^\| `([^`]+)`/gm)].map(([, label]) => label)
    expect(labels.length).toBeGreaterThan(20)
    expect(new Set(labels).size).toBe(labels.length)
  })
})

describe('the examples', () => {
  it('show every message of both protocols', () => {
    expect(examples.sync.map(({ kind }) => kind)).toHaveLength(21)
    expect(new Set(examples.pair.map(({ kind }) => kind)).size).toBe(9)
  })

  it('are read back as they were written', () => {
    for (const { kind, bytes } of examples.sync) expect(decodeFrame(bytes)?.$case).toBe(kind)
  })

  it('hold letters of every kind, and an envelope that opens', () => {
    const { mail, practice } = examples
    expect(mail.letters.map(({ value }) => value.body.$case)).toEqual([
      'changes',
      'states',
      'states',
      'states',
      'word',
    ])
    const opened = openEnvelope(portableNatives, practice, mail.keys, mail.envelope)
    expect(opened).toMatchObject({ id: mail.ids[0]?.[1], body: mail.letters[0]?.value.body })
  })

  it('hold a pairing that succeeds', () => {
    expect(examples.pair.at(-2)).toMatchObject({ kind: 'done', who: 'N → E' })
  })

  it('hold a roster that verifies', () => {
    const entries = examples.roster.entries.map((named) => named[1] as Uint8Array)
    const applied = applyEntries(portableNatives, undefined, entries)
    expect(applied).toMatchObject({ roster: { epoch: 4, height: 5 } })
  })

  it('hold a statement that is admitted', async () => {
    const value = examples.sync.find(({ kind }) => kind === 'statements')?.value
    const device = { ed: new Uint8Array(32) }
    const options = { practice: examples.practice, isMember: () => true, device }
    const db = { write: async () => {} }
    const exclusive = (work: () => unknown) => work()
    const replica = { natives: portableNatives, options, db, exclusive } as unknown as Replica
    const statements = new Statements(replica)
    expect(await statements.admit(value.statements)).toBe(true)
  })
})
