/**
 * A power cut: the relay's folder lies on ext4 in a file, through a loop device. What that file holds is what the
 * file system has given to its disk until then, and nothing that only waits in memory. It is copied under load, as
 * the disk would be found; the copy is mounted, its journal replayed, and a relay started on it. Needs root.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { toHex } from '../../src/protocol/bytes.js'
import { afterwards, tempFolder } from '../support/processes.js'
import { seeded } from '../support/random.js'
import { makePractice } from '../support/relay.js'
import { MailClient, RelayProcess } from '../support/relay-process.js'

const CUTS = Number(process.env.KARTOTEKA_RELAY_CUTS ?? (process.env.CI ? 20 : 5))
const DEPOSITORS = 4
const AT_ONCE = 4
const IMAGE_BYTES = 96 * 1024 * 1024
const MOMENT_MS = 400
/** Writes that the disk was given when the relay stood still are over by then. */
const SETTLE_MS = 30

const random = seeded(302)
const practice = makePractice(random, DEPOSITORS + 1)
const recipient = practice.devices[DEPOSITORS]!

/** Why it can't be tried here; undefined if it can. */
function obstacle(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting needs Linux and root'
  try {
    const loop = execFileSync('losetup', ['--find'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    return loop.startsWith('/dev/loop') ? undefined : 'there is no loop device'
  } catch {
    return 'there is no loop device'
  }
}

function mount(image: string, folder: string): () => void {
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8' }).trim()
  mkdirSync(folder, { recursive: true })
  const loop = run('losetup', '--find', '--show', image)
  try {
    run('mount', '-t', 'ext4', loop, folder)
  } catch (error) {
    run('losetup', '--detach', loop)
    throw error
  }
  return () => {
    run('umount', folder)
    run('losetup', '--detach', loop)
  }
}

const why = obstacle()
if (why !== undefined) console.log(`SKIPPED power cuts of a relay: ${why}.`)

it.skipIf(why !== undefined)(`loses nothing that was acknowledged in ${CUTS} power cuts`, async () => {
  const root = tempFolder()
  const image = join(root, 'disk.img')
  writeFileSync(image, '')
  truncateSync(image, IMAGE_BYTES)
  execFileSync('mkfs.ext4', ['-q', '-F', image])
  const folder = join(root, 'mnt')
  afterwards(mount(image, folder))
  const relay = await new RelayProcess([], join(folder, 'relay')).start()
  const acknowledged = new Map<string, Uint8Array>()
  let isOver = false

  const deposit = async (client: MailClient) => {
    while (!isOver) {
      const id = random.bytes(16)
      const done = await client.deposit({ id, recipients: [recipient.ed], envelope: random.bytes(1000) })
      if (done.error === '') acknowledged.set(toHex(id), id)
    }
  }
  const clients = await Promise.all(
    practice.devices.slice(0, DEPOSITORS).map((device) => MailClient.join(device, practice.roster, relay)),
  )
  const work = clients.flatMap((client) => Array.from({ length: AT_ONCE }, () => deposit(client)))

  const copies: { image: string; names: string[] }[] = []
  for (let cut = 0; cut < CUTS; cut++) {
    const before = acknowledged.size
    while (acknowledged.size === before) await sleep(1)
    await sleep(random() * MOMENT_MS)
    // What is acknowledged by now must be in the copy; what the copy has beyond that is welcome.
    const names = [...acknowledged.keys()]
    const copy = join(root, `cut-${cut}.img`)
    await copyDisk(relay, image, copy)
    copies.push({ image: copy, names })
  }
  isOver = true
  await Promise.all(work)
  await relay.stop()

  for (const [cut, copy] of copies.entries()) {
    const found = join(root, `mnt-${cut}`)
    const unmount = mount(copy.image, found)
    try {
      const restored = await new RelayProcess([], join(found, 'relay')).start()
      const reader = await MailClient.join(recipient, practice.roster, restored)
      const there = new Set((await reader.collectAll()).ids.map(toHex))
      expect(copy.names.filter((name) => !there.has(name))).toEqual([])
      await reader.close()
      await restored.stop()
    } finally {
      unmount()
    }
  }
  expect(copies.at(-1)!.names.length).toBeGreaterThan(CUTS)
})

/** One moment of the disk: the relay stands still, and what it had handed to the system has settled. */
async function copyDisk(relay: RelayProcess, image: string, copy: string): Promise<void> {
  process.kill(relay.pid, 'SIGSTOP')
  try {
    await sleep(SETTLE_MS)
    execFileSync('cp', ['--sparse=always', image, copy])
  } finally {
    process.kill(relay.pid, 'SIGCONT')
  }
}
