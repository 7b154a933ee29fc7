/** A file that a command writes: whole or not at all, also where two write it, or one is interrupted. */
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { intoFile } from '../../src/node/cli/into-file.js'

let folder: string
let file: string
let signals: Set<() => void>
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kartoteka-into-'))
  file = join(folder, 'cases.jsonl')
  signals = new Set()
})
afterEach(() => rmSync(folder, { recursive: true }))

const onSignal = (handler: () => void) => {
  signals.add(handler)
  return () => signals.delete(handler)
}
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

test('two at once leave the whole file of one of them, and both say the truth', async () => {
  const [begun, go] = [gate(), gate()]
  const first = intoFile(onSignal, file, async (write) => {
    await write('first\n')
    const second = intoFile(onSignal, file, async (writeSecond) => {
      begun.open()
      await go.opened
      await writeSecond('second\n')
    })
    await begun.opened
    return { second }
  })
  const { second } = await first
  expect(readFileSync(file, 'utf8')).toBe('first\n')
  go.open()
  await second
  expect(readFileSync(file, 'utf8')).toBe('second\n')
  expect(readdirSync(folder)).toEqual(['cases.jsonl'])
})

test('one that is interrupted leaves no part of it, though nothing more is written', async () => {
  writeFileSync(file, 'as it was\n')
  const written = gate()
  const interrupted = intoFile(onSignal, file, async (write) => {
    await write('a patient\n')
    written.open()
    await new Promise(() => {})
  })
  interrupted.catch(() => {})
  await written.opened
  for (const signal of signals) signal()
  await expect(interrupted).rejects.toMatchObject({ code: 'interrupted' })
  expect(readdirSync(folder)).toEqual(['cases.jsonl'])
  expect(readFileSync(file, 'utf8')).toBe('as it was\n')
  expect(signals.size).toBe(0)
})

test('nothing that somebody has put beside it is written into', async () => {
  const elsewhere = join(folder, 'elsewhere')
  writeFileSync(elsewhere, '', { mode: 0o644 })
  symlinkSync(elsewhere, `${file}.part`)
  await intoFile(onSignal, file, (write) => write('a patient\n'))
  expect(readFileSync(elsewhere, 'utf8')).toBe('')
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('a file that is a link to another place is written there, and the link stays', async () => {
  const stick = join(folder, 'stick.jsonl')
  writeFileSync(stick, 'older\n')
  symlinkSync(stick, file)
  await intoFile(onSignal, file, (write) => write('newer\n'))
  expect(readFileSync(stick, 'utf8')).toBe('newer\n')
  expect(lstatSync(file).isSymbolicLink()).toBe(true)
})
