/** A command that edits and exits with 0 has stored: what follows may be a kill −9 of the running device. */
import { expect, it } from 'vitest'
import { KILLS } from '../support/faults.js'
import {
  begin,
  createPractice,
  type Running,
  startDevice,
  type TestDevice,
  tempFile,
} from '../support/processes.js'

const ROUNDS = KILLS.commands
/** Devices that are tried side by side. */
const DEVICES = 2

interface Shown {
  consultations?: { id: string; text: string }[]
  prescriptions?: { id: string; remedy: string; dose?: string }[]
}

interface Edit {
  args: string[]
  /** Whether it is there. */
  holds: (read: (id: string) => Promise<Shown | undefined>) => Promise<boolean>
}

/** The edits of a round, all of different kinds; `mark` occurs nowhere else. */
function edits(round: number): Edit[] {
  const mark = `r${round}`
  const set: Edit = {
    args: ['case', 'set', 'base', `prescriptions.${mark}.dose=${mark}`],
    holds: async (read) => (await read('base'))?.prescriptions?.find(({ id }) => id === mark)?.dose === mark,
  }
  const type: Edit = {
    args: ['case', 'type', 'base', '--in', 'c0', '--at', '0', '--text', `<${mark}>`],
    holds: async (read) => (await read('base'))?.consultations?.[0]?.text.includes(`<${mark}>`) ?? false,
  }
  const add: Edit = {
    args: [
      'case',
      'add',
      'base',
      'prescription',
      '--json-file',
      tempFile('p.json', JSON.stringify({ remedy: mark })),
    ],
    holds: async (read) =>
      (await read('base'))?.prescriptions?.some(({ remedy }) => remedy === mark) ?? false,
  }
  const lines = Array.from(
    { length: 40 },
    (_, at) => `${JSON.stringify({ id: `${mark}-${at}`, tags: [mark] })}\n`,
  ).join('')
  const imported: Edit = {
    args: ['case', 'import', tempFile('cases.jsonl', lines)],
    holds: async (read) =>
      (await Promise.all(Array.from({ length: 40 }, (_, at) => read(`${mark}-${at}`)))).every(Boolean),
  }
  const made: Edit = {
    args: ['case', 'new', '--json-file', tempFile('new.json', JSON.stringify({ id: mark, tags: [mark] }))],
    holds: async (read) => (await read(mark)) !== undefined,
  }
  const all = [set, type, add, made]
  return round % 5 === 0
    ? [imported, all[round % 4]!]
    : [all[round % 4]!, all[(round + 1) % 4]!, all[(round + 2) % 4]!]
}

async function killRounds(device: TestDevice, rounds: number[]): Promise<void> {
  await createPractice(device)
  const base = {
    id: 'base',
    consultations: [{ id: 'c0', date: '2025-01-01', text: '' }],
    prescriptions: rounds.map((round) => ({ id: `r${round}`, date: '2025-01-01' })),
  }
  await device.ok('case', 'new', '--json-file', tempFile('base.json', JSON.stringify(base)))
  const acknowledged: Edit[] = []
  for (const round of rounds) {
    if (!device.isAlive) await device.start()
    const doing = edits(round)
    const running = doing.map(({ args }) => begin([...args, '--data', device.folder, '--json']))
    // The kill comes with the first exit code but one; the others may be in the middle of anything.
    await exits(running, Math.max(1, doing.length - 1))
    await device.kill()
    for (const [at, { ended }] of running.entries()) {
      const { code, json } = await ended
      if (code === 0) acknowledged.push(doing[at]!)
      else
        expect(json).toMatchObject({
          error: { code: expect.stringMatching(/^(device-stopped|internal|in-use)$/) },
        })
    }
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(rounds.length)
  await device.start()
  const client = await device.link()
  const cache = new Map<string, Promise<Shown | undefined>>()
  const read = (id: string) => {
    const shown =
      cache.get(id) ??
      client.cases.show({ id }).then(
        ({ json }) => JSON.parse(json) as Shown,
        () => undefined,
      )
    cache.set(id, shown)
    return shown
  }
  const lost: string[] = []
  for (const edit of acknowledged) if (!(await edit.holds(read))) lost.push(edit.args.join(' '))
  expect(lost).toEqual([])
  expect(await device.ok('doctor')).toContainEqual(expect.objectContaining({ check: 'store', ok: true }))
}

/** Resolves when so many have exited. */
function exits(running: Running[], count: number): Promise<void> {
  return new Promise((resolve) => {
    let ended = 0
    for (const { child } of running)
      child.once('exit', () => {
        if (++ended >= count) resolve()
      })
  })
}

it(`holds every edit whose command exited with 0, after ${ROUNDS} kills of the running device`, async () => {
  const rounds = Array.from({ length: ROUNDS }, (_, round) => round)
  const devices = await Promise.all(Array.from({ length: DEVICES }, () => startDevice()))
  await Promise.all(
    devices.map((device, at) =>
      killRounds(
        device,
        rounds.filter((round) => round % DEVICES === at),
      ),
    ),
  )
})
