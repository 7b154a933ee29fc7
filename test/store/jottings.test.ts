/** [S5] Letters that nobody waits for: written down before they are confirmed, and there whatever ends the process. */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createUpdate } from '../../src/cases/create.js'
import { setFields, typeText } from '../../src/cases/edit.js'
import { casesApi } from '../../src/node/device/cases.js'
import { FileNotepad } from '../../src/node/device/notepad.js'
import { nodeNatives } from '../../src/node/natives.js'
import { toHex } from '../../src/protocol/bytes.js'
import { MAX_CASE_BYTES, MAX_CHANGE_BYTES } from '../../src/protocol/limits.js'
import { KIND_UPDATE } from '../../src/protocol/log.js'
import { parseRow } from '../../src/store/case-row.js'
import { fingerprints } from '../../src/store/fingerprints.js'
import { keys } from '../../src/store/keyspace.js'
import { Replica } from '../../src/store/replica.js'
import { SealedDb } from '../../src/store/sealed-db.js'
import { Disk } from '../support/disk.js'
import { makeKeys } from '../support/logs.js'
import { MemoryNotepad } from '../support/notepad.js'
import { seeded } from '../support/random.js'

class Lone {
  readonly random = seeded(11)
  readonly disk = new Disk()
  notepad = new MemoryNotepad()
  hasOthers = false
  isAwaited = false
  replica!: Replica
  private readonly keys = makeKeys(this.random)
  private readonly practice = this.random.bytes(32)
  private readonly dataKey = this.random.bytes(32)

  async open(): Promise<void> {
    const random = (length: number) => this.random.bytes(length)
    const db = new SealedDb({ db: this.disk.db, natives: nodeNatives, dataKey: this.dataKey, random })
    this.replica = await Replica.open({
      db,
      natives: nodeNatives,
      random,
      now: () => 0,
      newClientId: () => this.random.int(1, 2 ** 48),
      practice: this.practice,
      indexKey: this.practice,
      device: this.keys,
      isMember: () => true,
      hasOthers: () => this.hasOthers,
      isAwaited: () => this.isAwaited,
      notepad: this.notepad,
      binding: 'machine',
    })
  }

  /** As kill −9 leaves it: whatever was written to the system is there, nothing else is. */
  async kill(): Promise<void> {
    const notepad = Object.assign(new MemoryNotepad(), { bytes: this.notepad.bytes })
    await this.disk.crash(this.disk.unflushed)
    this.notepad = notepad
    await this.open()
  }

  async fingerprint(): Promise<string> {
    const { value } = await fingerprints(this.replica).next()
    return toHex(value!.fingerprint)
  }

  async create(...ids: string[]): Promise<void> {
    for (const id of ids) {
      const update = createUpdate({ id, consultations: [{ id: 'c', text: '' }] } as never, nodeNatives.sha256)
      await this.replica.append([{ caseId: id, kind: KIND_UPDATE, update }])
      // The first letter of an opened case is a change of its own: the list row is projected.
      await this.type(id, '.')
    }
  }

  async type(id: string, text: string, at = 0): Promise<void> {
    const { outcome } = await this.replica.docs.edit(id, (doc) => typeText(doc, 'c', at, 0, text))
    expect(outcome).toEqual({ ok: true })
  }

  /** As stored, once everything typed has become changes. */
  async text(id: string): Promise<string> {
    await this.replica.docs.settle()
    this.replica.docs.forget(id)
    const doc = await this.replica.openDoc(id)
    const text = doc.getText('text:consultations/c').toString()
    this.replica.docs.release(id)
    return text
  }

  get seq(): number {
    return this.replica.logs.get(this.replica.currentLog!)!.seq
  }
}

async function lone(...ids: string[]): Promise<Lone> {
  const device = new Lone()
  await device.open()
  await device.create(...ids)
  return device
}

describe('jottings', () => {
  it('become one change, and the notepad is cleared', async () => {
    const device = await lone('one')
    const before = device.seq
    for (const letter of 'abcdef') await device.type('one', letter)
    expect(device.seq).toBe(before)
    expect(device.notepad.bytes.length).toBeGreaterThan(0)
    await device.replica.docs.settle()
    expect(device.seq).toBe(before + 1)
    expect(device.notepad.bytes.length).toBe(0)
    expect(await device.text('one')).toBe('fedcba.')
  })

  it('become changes before they are many', async () => {
    const device = await lone('one')
    const before = device.seq
    for (let at = 0; at < 1000; at++) await device.type('one', 'x')
    await device.replica.docs.settle()
    expect(device.seq - before).toBeGreaterThanOrEqual(5)
    expect(device.seq - before).toBeLessThan(20)
    expect(await device.text('one')).toBe(`${'x'.repeat(1000)}.`)
  })

  it('stay where what was pasted behind them is refused', async () => {
    const device = await lone('one')
    for (const letter of 'abc') await device.type('one', letter)
    const pasted = device.replica.docs.edit('one', (doc) =>
      typeText(doc, 'c', 0, 0, 'x'.repeat(MAX_CHANGE_BYTES + 1)),
    )
    expect((await pasted).outcome).toMatchObject({ ok: false, code: 'too-large' })
    expect(await device.text('one')).toBe('cba.')
  })

  it('stay in sight where the disk refuses their change, and are there after the next start', async () => {
    const device = await lone('one', 'two')
    for (const letter of 'abc') await device.type('one', letter)
    await device.type('two', 'x')
    for (const letter of 'def') await device.type('one', letter)
    const { db } = device.disk
    const { batch } = db
    Object.assign(db, {
      batch: async () => {
        throw new Error('ENOSPC: No space left on device')
      },
    })
    expect([await device.text('one'), await device.text('two')]).toEqual(['fedcba.', 'x.'])
    Object.assign(db, { batch })
    await device.kill()
    expect([await device.text('one'), await device.text('two')]).toEqual(['fedcba.', 'x.'])
  })

  it('are in an export, and count where devices are compared, while the disk refuses their change', async () => {
    const device = await lone('one')
    const before = await device.fingerprint()
    for (const letter of 'abc') await device.type('one', letter)
    Object.assign(device.disk.db, {
      batch: async () => {
        throw new Error('ENOSPC: No space left on device')
      },
    })
    const api = casesApi({ replica: () => device.replica, newId: () => 'new', heldBy: () => [] })
    expect((await api.cases.export({})).lines.join()).toContain('"text":"cba."')
    expect(await device.fingerprint()).not.toBe(before)
  })

  it('that can not be read now stay for a later start, and nothing is written over them', async () => {
    const device = await lone('one')
    for (const letter of 'abc') await device.type('one', letter)
    const left = device.notepad.bytes
    device.notepad.refusesReading = true
    const notepad = device.notepad
    await device.disk.crash(device.disk.unflushed)
    await device.open()
    expect(device.replica.lostJottings).toBe(true)
    await device.type('one', 'x')
    await device.type('one', 'y')
    expect(await device.text('one')).toBe('yx.')
    expect(notepad.bytes).toEqual(left)
    await device.replica.close()
    notepad.refusesReading = false
    await device.open()
    expect(device.replica.lostJottings).toBe(false)
    expect([...(await device.text('one'))].sort().join('')).toBe('.abcxy')
    expect(notepad.bytes.length).toBe(0)
  })

  it('are taken up after a kill, of several cases, in order', async () => {
    const device = await lone('one', 'two')
    for (const letter of 'abc') {
      await device.type('one', letter)
      await device.type('two', letter.toUpperCase())
    }
    await device.kill()
    expect(device.replica.lostJottings).toBe(false)
    expect(await device.text('one')).toBe('cba.')
    expect(await device.text('two')).toBe('CBA.')
    expect(device.notepad.bytes.length).toBe(0)
  })

  it('that are changes already do nothing when they are taken up once more', async () => {
    const device = await lone('one')
    for (const letter of 'abc') await device.type('one', letter)
    const { bytes } = device.notepad
    await device.replica.docs.settle()
    await device.type('one', 'd')
    await device.replica.docs.settle()
    device.notepad.bytes = bytes
    await device.kill()
    expect(await device.text('one')).toBe('dcba.')
    expect((await device.replica.caseState(device.replica.keyOf('one')))!.parked).toEqual([])
  })

  it('whatever the order of letters and other edits, a kill at any moment loses none that was confirmed', async () => {
    const random = seeded(5)
    const device = await lone('one', 'two')
    const typed: Record<string, string> = { one: '.', two: '.' }
    for (let step = 0; step < 400; step++) {
      const id = random.pick(['one', 'two'])
      const roll = random()
      if (roll < 0.8) {
        const letter = 'abcdefghijklmnopqrstuvwxyz'[step % 26]!
        await device.type(id, letter)
        typed[id] = letter + typed[id]
      } else if (roll < 0.87) {
        await device.replica.docs.edit(id, (doc) => setFields(doc, [['patient.lastName', `N${step}`]]))
        const state = await device.replica.caseState(device.replica.keyOf(id))
        expect(parseRow(state!.row)!.lastName).toBe(`N${step}`)
      } else if (roll < 0.92) void device.replica.docs.settle()
      else if (roll < 0.96) await device.kill()
      else for (const [each, text] of Object.entries(typed)) expect(await device.text(each)).toBe(text)
    }
    await device.kill()
    for (const [id, text] of Object.entries(typed)) expect(await device.text(id)).toBe(text)
  })

  it('are read up to what a power cut left unreadable, and that is said', async () => {
    const device = await lone('one')
    await device.replica.flush()
    for (const letter of 'abcdef') await device.type('one', letter)
    const whole = device.notepad.bytes
    for (const [tail, isLost] of [
      [new Uint8Array(30), false],
      [Uint8Array.of(0, 0, 0, 9, 1, 2, 3), true],
    ] as const) {
      device.notepad.bytes = Uint8Array.from([...whole, ...tail])
      await device.kill()
      expect(device.replica.lostJottings).toBe(isLost)
      expect(await device.text('one')).toBe('fedcba.')
    }
  })

  it('a flipped bit takes that letter and what follows, and is noticed', async () => {
    const device = await lone('one')
    for (const letter of 'abcd') await device.type('one', letter)
    const { bytes } = device.notepad
    const rowLength = bytes.length / 4
    bytes[Math.floor(rowLength * 2.5)]! ^= 4
    await device.kill()
    expect(device.replica.lostJottings).toBe(true)
    expect(await device.text('one')).toBe('ba.')
  })

  it('nothing is jotted down while somebody is connected, nor when the notepad refuses, nor what the list shows', async () => {
    const device = await lone('one')
    device.hasOthers = true
    device.isAwaited = true
    await device.type('one', 'a')
    expect(device.notepad.bytes.length).toBe(0)
    device.hasOthers = false
    device.isAwaited = false
    await device.replica.docs.edit('one', (doc) => setFields(doc, [['patient.lastName', 'Nowak']]))
    expect(device.notepad.bytes.length).toBe(0)
    device.notepad.refuses = true
    const before = device.seq
    await device.type('one', 'b')
    expect(device.seq).toBe(before + 1)
    device.notepad.refuses = false
    await device.type('one', 'c')
    expect(device.notepad.bytes.length).toBe(0)
    expect(await device.text('one')).toBe('cba.')
  })

  it('stay in the notepad while the disk refuses their change, and at a start too', async () => {
    const device = await lone('one')
    await device.type('one', 'a')
    const refuse = () => Promise.reject(new Error('ENOSPC'))
    Object.assign(device.disk.db, { batch: refuse })
    await device.replica.docs.settle()
    expect(device.replica.db.failed).toBeDefined()
    expect(device.notepad.bytes.length).toBeGreaterThan(0)
    await device.disk.crash(device.disk.unflushed)
    const { batch } = device.disk.db
    Object.assign(device.disk.db, { batch: refuse })
    await device.open()
    expect(device.replica.db.failed).toBeDefined()
    expect(device.notepad.bytes.length).toBeGreaterThan(0)
    expect(await device.text('one')).toBe('a.')
    Object.assign(device.disk.db, { batch })
    await device.open()
    expect(await device.text('one')).toBe('a.')
  })

  it('with others in the practice count as held here only, until their change is written', async () => {
    const device = await lone('one', 'two')
    device.hasOthers = true
    for (const letter of 'abc') await device.type('one', letter)
    const { docs } = device.replica
    const held = () => [docs.jotted, docs.isJotted('one'), docs.isJotted('two')]
    expect(held()).toEqual([1, true, false])
    const settled = docs.settle()
    expect(held()).toEqual([1, true, false])
    await settled
    expect(held()).toEqual([0, false, false])
    await device.type('one', 'd')
    Object.assign(device.disk.db, { batch: () => Promise.reject(new Error('EIO')) })
    await docs.settle()
    expect(held()).toEqual([1, true, false])
    await device.kill()
    expect(await device.text('one')).toBe('dcba.')
  })

  it('are taken even where others have filled the case meanwhile', async () => {
    const device = await lone('one')
    device.hasOthers = true
    for (const letter of 'abc') await device.type('one', letter)
    const state = device.replica.cases.recentState(device.replica.keyOf('one'))!
    state.parts[0]!.bytes = MAX_CASE_BYTES
    expect(await device.text('one')).toBe('cba.')
    const { outcome } = await device.replica.docs.edit('one', (doc) => typeText(doc, 'c', 0, 0, 'd'))
    expect(outcome).toMatchObject({ ok: false, code: 'case-full' })
  })

  it('wait for what they build on where others may bring it, and are dropped where nobody can', async () => {
    for (const hasOthers of [true, false]) {
      const device = await lone('one')
      device.hasOthers = hasOthers
      await device.replica.flush()
      await device.type('one', 'a')
      await device.replica.docs.settle()
      for (const letter of 'bc') await device.type('one', letter)
      const notepad = Object.assign(new MemoryNotepad(), { bytes: device.notepad.bytes })
      // A power cut takes the change, and leaves what was jotted down behind it.
      await device.disk.crash(0)
      device.notepad = notepad
      await device.open()
      const state = await device.replica.caseState(device.replica.keyOf('one'))
      expect(state!.parked).toHaveLength(hasOthers ? 2 : 0)
      expect(notepad.bytes).toHaveLength(0)
      expect(device.replica.lostJottings).toBe(false)
    }
  })

  it('of a case that has rotted stay in the notepad until it is there again', async () => {
    const device = await lone('one', 'two')
    device.hasOthers = true
    await device.type('one', 'a')
    await device.type('two', 'b')
    const key = keys.case(device.replica.keyOf('one'))
    const whole = await device.disk.db.get(key)
    const put = (value: Uint8Array) => device.disk.db.batch([{ type: 'put', key, value }])
    await put(Uint8Array.from(whole!, (byte, at) => (at === 40 ? byte ^ 1 : byte)))
    const { bytes } = device.notepad
    await device.kill()
    expect(device.replica.lostJottings).toBe(true)
    expect(await device.text('two')).toBe('b.')
    expect(device.notepad.bytes).toEqual(bytes)
    await put(whole!)
    await device.kill()
    expect(device.replica.lostJottings).toBe(false)
    expect([await device.text('one'), await device.text('two')]).toEqual(['a.', 'b.'])
    expect(device.notepad.bytes).toHaveLength(0)
  })

  it('what was typed on top of an edit that failed by a read fails with it: it would wait for it for ever', async () => {
    const device = await lone('one')
    device.hasOthers = true
    device.isAwaited = true
    const { replica } = device
    const { db } = device.disk
    const outcomeOf = (work: Promise<unknown>) =>
      work.then(
        () => 'taken',
        (error: Error) => error.message,
      )
    const getMany = db.getMany.bind(db) as (...args: unknown[]) => unknown
    let late: Promise<string> | undefined
    Object.assign(db, {
      getMany: async (...args: unknown[]) => {
        if (late) return getMany(...args)
        late = outcomeOf(device.type('one', 'b'))
        await new Promise((resolve) => setImmediate(resolve))
        throw new Error('EIO')
      },
    })
    let first = 'taken'
    // Until the parts of the case are read to be merged.
    for (let typed = 0; typed < 100 && first === 'taken'; typed++)
      first = await outcomeOf(device.type('one', 'a'))
    expect([first, await late]).toEqual(['EIO', 'EIO'])
    expect((await replica.caseState(replica.keyOf('one')))!.parked).toEqual([])
    await device.type('one', 'c')
    expect(await device.text('one')).toMatch(/^ca+\.$/)
  })

  it('a clean stop leaves none', async () => {
    const device = await lone('one')
    await device.type('one', 'a')
    await device.replica.close()
    expect(device.notepad.bytes.length).toBe(0)
    await device.open()
    expect(await device.text('one')).toBe('a.')
  })
})

describe('the notepad of a device', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kartoteka-notepad-'))
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('is a file for its owner only, made when something is first written', () => {
    const path = join(folder, 'jottings')
    const notepad = new FileNotepad(path)
    expect(notepad.read()).toHaveLength(0)
    notepad.append(Uint8Array.of(1, 2))
    notepad.append(Uint8Array.of(3))
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect([...new FileNotepad(path).read()]).toEqual([1, 2, 3])
    notepad.clear()
    notepad.append(Uint8Array.of(4))
    notepad.close()
    expect([...new FileNotepad(path).read()]).toEqual([4])
  })
})
