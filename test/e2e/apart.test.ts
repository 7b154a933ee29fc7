/** Three devices edit the same cases while apart, then meet: every edit is there, the same everywhere. */
import { expect, it } from 'vitest'
import {
  createPractice,
  exported,
  imported,
  joinPractice,
  startDevice,
  startPair,
  synced,
  type TestDevice,
  tempFile,
  until,
} from '../support/processes.js'
import { plainCase, workloadLines } from '../support/workload.js'

const CASES = 50
/** Cases that a device edits at the same time. */
const WINDOWS = 4
const NAMES = ['A', 'B', 'C'] as const
type Name = (typeof NAMES)[number]
const ids = Array.from({ length: CASES }, (_, at) => plainCase(at).id)
const textOf = (at: number) => plainCase(at).consultations.find(({ id }) => id === 'c0')!.text
const ARCHIVED = ids.slice(0, 10)
const DELETED = ids.slice(45)

interface Shown {
  patient: Record<string, string>
  consultations: { id: string; text: string }[]
  prescriptions: { id: string; remedy: string }[]
  archived: boolean
  deleted: boolean
  lateEdits: boolean
  conflicts: unknown[]
  heldBy: string[]
}

/** What one device types into a case: nobody else types this. */
const typed = (name: Name, at: number) => ` [${name}${at} źdźbło]`
/** In the middle of one and the same word, as the others do. */
const inWord = (name: Name, at: number) => `${name.toLowerCase()}${at}z`

/** Edits of one device on all cases, as an editor's window would send them: one call a keystroke. */
async function edit(device: TestDevice, name: Name): Promise<void> {
  const client = await device.link()
  const editOne = async (at: number) => {
    const id = ids[at]!
    const length = textOf(at).length
    // A writes first at the beginning, B in the middle, C at the end; then all three at offset 3 of the old text.
    const where = { A: 0, B: length >> 1, C: length }[name]
    const burst = typed(name, at)
    for (const [offset, text] of [...burst].entries())
      await client.cases.type({ id, consultation: 'c0', at: where + offset, erase: 0, text })
    const word = 3 + (name === 'A' ? burst.length : 0)
    for (const [offset, text] of [...inWord(name, at)].entries())
      await client.cases.type({ id, consultation: 'c0', at: word + offset, erase: 0, text })
    await client.cases.set({
      id,
      fields: [
        ['patient.phone', `phone of ${name}`],
        [`patient.${OWN_FIELD[name]}`, `of ${name}`],
      ],
    })
    await client.cases.add({
      id,
      kind: 'prescription',
      json: JSON.stringify({ remedy: `Remedy ${name}`, date: '2025-06-01' }),
    })
  }
  const rows = Array.from({ length: WINDOWS }, (_, row) => row)
  await Promise.all(
    rows.map(async (row) => {
      for (let at = row; at < CASES; at += WINDOWS) await editOne(at)
    }),
  )
  await client.flush()
}
const OWN_FIELD = { A: 'email', B: 'address', C: 'lastName' } as const

it('keeps every edit of three devices on the same 50 cases, marks late ones, and converges', async () => {
  const devices = (await Promise.all(NAMES.map(() => startDevice()))) as [TestDevice, TestDevice, TestDevice]
  const [a, b, c] = devices
  await createPractice(a, 'A')
  await imported(a, workloadLines(CASES))
  await joinPractice(b, a, 'B')
  await joinPractice(c, a, 'C')
  for (const device of devices) await synced(device)
  await Promise.all(devices.map((device) => device.stop()))

  // One runs at a time: none hears of the others.
  for (const [at, device] of devices.entries()) {
    await device.start()
    await edit(device, NAMES[at]!)
    if (device === b) await device.ok('case', 'archive', ...ARCHIVED)
    if (device === c) await device.ok('case', 'delete', ...DELETED)
    await device.stop()
  }
  await Promise.all(devices.map((device) => device.start()))
  for (const device of devices) await synced(device)
  for (const device of devices) await synced(device)

  const exports = await Promise.all(devices.map((device) => exported(device)))
  expect(exports[1] === exports[0]).toBe(true)
  expect(exports[2] === exports[0]).toBe(true)
  // B and C have joined from A: it reaches both.
  expect((await a.ok<{ identical: boolean }>('verify')).identical).toBe(true)
  expect(exports[0]!.trimEnd().split('\n')).toHaveLength(CASES - DELETED.length)

  const client = await b.link()
  for (const [at, id] of ids.entries()) {
    const shown = JSON.parse((await client.cases.show({ id })).json) as Shown
    const { text } = shown.consultations.find((each) => each.id === 'c0')!
    for (const name of NAMES) {
      expect(text).toContain(typed(name, at))
      expect(text).toContain(inWord(name, at))
      expect(shown.patient[OWN_FIELD[name]]).toBe(`of ${name}`)
      expect(shown.prescriptions.filter(({ remedy }) => remedy === `Remedy ${name}`)).toHaveLength(1)
    }
    const added = NAMES.reduce((sum, name) => sum + typed(name, at).length + inWord(name, at).length, 0)
    expect(text).toHaveLength(textOf(at).length + added)
    // One phone stands, the two others are kept.
    const phones = NAMES.map((name) => `phone of ${name}`)
    expect(phones).toContain(shown.patient.phone)
    const conflicts = JSON.stringify(shown.conflicts)
    for (const phone of phones.filter((each) => each !== shown.patient.phone))
      expect(conflicts).toContain(phone)
    expect(shown.archived).toBe(ARCHIVED.includes(id) || plainCase(at).archived)
    expect(shown.deleted).toBe(DELETED.includes(id))
    expect(shown.lateEdits).toBe(DELETED.includes(id))
  }
  // B and C have never met: that C holds everything comes round by A.
  await until(async () => {
    const { heldBy } = JSON.parse((await client.cases.show({ id: ids[20]! })).json) as Shown
    return devices.every(({ id }) => heldBy.includes(id))
  })

  for (const device of devices) {
    const plain = await device.ok<{ id: string }[]>('case', 'list')
    expect(plain.filter(({ id }) => DELETED.includes(id))).toEqual([])
    const rows = await device.ok<{ id: string; deleted: boolean; lateEdits: boolean }[]>(
      'case',
      'list',
      '--deleted',
    )
    const deleted = rows.filter((row) => row.deleted)
    expect(deleted.map(({ id }) => id).sort()).toEqual([...DELETED].sort())
    expect(deleted.every(({ lateEdits }) => lateEdits)).toBe(true)
    expect(rows.some((row) => !row.deleted)).toBe(true)
  }

  // One click from restored, with everything that came late.
  await a.ok('case', 'restore', DELETED[0]!)
  await synced(a)
  const back = await c.ok<Shown>('case', 'show', DELETED[0]!)
  expect(back.deleted).toBe(false)
  for (const name of NAMES)
    expect(back.consultations.find(({ id }) => id === 'c0')!.text).toContain(typed(name, 45))
})

it('keeps both sides of everything that two devices type and set by commands while apart', async () => {
  const [desk, laptop] = await startPair()
  const id = 'shared'
  const made = {
    id,
    patient: { lastName: 'Nowak' },
    consultations: [{ id: 'c0', date: '2025-01-01', text: 'niepokój' }],
  }
  await desk.ok('case', 'new', '--json-file', tempFile('case.json', JSON.stringify(made)))
  await synced(desk)
  await Promise.all([desk.stop(), laptop.stop()])
  // Without a running device nothing goes out.
  await desk.ok('case', 'type', id, '--in', 'c0', '--at', '3', '--text', 'DESK')
  await laptop.ok('case', 'type', id, '--in', 'c0', '--at', '3', '--text', 'LAPTOP')
  await laptop.ok('case', 'type', id, '--in', 'c0', '--at', '0', '--erase', '2')
  await desk.ok('case', 'set', id, 'patient.lastName=Kowalska', 'drawer=Patients')
  await laptop.ok('case', 'set', id, 'patient.lastName=Wójcik', 'followUp=2026-03-01')
  await Promise.all([desk.start(), laptop.start()])
  await synced(desk)
  const shown = await laptop.ok<Shown & { drawer: string; followUp: string }>('case', 'show', id)
  expect(['eDESKLAPTOPpokój', 'eLAPTOPDESKpokój']).toContain(shown.consultations[0]!.text)
  expect(JSON.stringify([shown.patient.lastName, shown.conflicts])).toContain('Kowalska')
  expect(JSON.stringify([shown.patient.lastName, shown.conflicts])).toContain('Wójcik')
  expect([shown.drawer, shown.followUp]).toEqual(['Patients', '2026-03-01'])
  expect(await exported(laptop)).toBe(await exported(desk))
})
