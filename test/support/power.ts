/**
 * A disk whose power can be cut. The folder is ext4 on a loop device; the file behind that lies on a second ext4,
 * whose memory is the disk's volatile cache: a write stays in it until the disk is told to flush, as `fsync` has it
 * told. What the outermost file holds by then is what a power cut leaves for certain. Of all later writes each block
 * may have reached the disk or not: none, all or some have, by chance. So two bugs are noticed, a program that
 * doesn't flush and a file system that doesn't pass it on. Needs Linux and root.
 */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterwards } from './processes.js'
import type { Random } from './random.js'

const DISK_BYTES = 32 * 1024 * 1024
/** Beside the disk's file: tables and journal of the outer file system. */
const OUTER_MORE_BYTES = 24 * 1024 * 1024
/** What a disk writes as a whole. */
const BLOCK_BYTES = 4096
/** Memory, where there is some: how fast this machine's disk is doesn't matter here. */
const MEMORY = '/dev/shm'
/** Nothing is left for later, which would be written while a copy is made. */
const FORMAT = ['-q', '-F', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0']
const QUIET_MS = 5
const TRIES = 100
const UMOUNT_TRIES = 50

/** Why it can't be tried here; undefined if it can. */
export function powerObstacle(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting needs Linux and root'
  try {
    return run('losetup', '--find').startsWith('/dev/loop') ? undefined : 'there is no loop device'
  } catch {
    return 'there is no loop device'
  }
}

export interface PowerOptions {
  random: Random
  /** False: the file system never tells the disk to flush, whatever a program asks for. */
  barrier?: boolean
  /** Of the whole disk. */
  bytes?: number
}

export class PowerDisk {
  /** Where the disk is mounted. It stays the same after a cut. */
  readonly folder: string
  private readonly outer: Mount
  private inner: Mount

  private constructor(
    private readonly root: string,
    private readonly options: PowerOptions,
  ) {
    this.folder = join(root, 'disk')
    const image = join(root, 'outer.img')
    writeFileSync(image, '')
    truncateSync(image, this.bytes + OUTER_MORE_BYTES)
    run('mkfs.ext4', ...FORMAT, image)
    this.outer = new Mount(image, join(root, 'outer'))
    // Written, not only reserved: later writes change no table of the outer file system.
    writeFlushed(this.file, Buffer.alloc(this.bytes))
    run('mkfs.ext4', ...FORMAT, this.file)
    run('sync', this.file)
    this.inner = this.mountInner()
  }

  /** An empty disk, mounted. It is gone after the test. */
  static make(options: PowerOptions): PowerDisk {
    const root = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'kartoteka-power-'))
    afterwards(() => rmSync(root, { recursive: true, force: true }))
    // Whoever enters a network namespace (`ip netns exec`) gets a copy of all that is mounted. A copy that stays when
    // the disk is unmounted here goes on writing to it; of what is mounted below a shared one none stays.
    run('mount', '--bind', root, root)
    afterwards(() => run('umount', '--lazy', root))
    run('mount', '--make-shared', root)
    return new PowerDisk(root, options)
  }

  /**
   * The power fails while the processes work. They stand still from here on and must be gone when `died` resolves;
   * then the disk is mounted again as the cut left it. Whatever they had acknowledged before has to be on it.
   */
  async cut(pids: number[], died: () => Promise<unknown>): Promise<void> {
    for (const pid of pids) process.kill(pid, 'SIGSTOP')
    const left = await this.whatIsLeft()
    await died()
    this.inner.end()
    writeFlushed(this.file, left)
    this.inner = this.mountInner()
  }

  private get bytes(): number {
    return this.options.bytes ?? DISK_BYTES
  }

  /** What the inner file system's blocks are, in the outer one. */
  private get file(): string {
    return join(this.outer.folder, 'disk.img')
  }

  private mountInner(): Mount {
    return new Mount(this.file, this.folder, this.options.barrier === false ? ['-o', 'nobarrier'] : [])
  }

  /** A copy of one moment: the system may write on its own, and then it is made once more. */
  private async whatIsLeft(): Promise<Buffer> {
    const copy = join(this.root, 'copy.img')
    for (let tries = 0; tries < TRIES; tries++) {
      const before = this.written()
      await sleep(QUIET_MS)
      if (before === undefined || this.written() !== before) continue
      execFileSync('cp', ['--sparse=always', this.outer.image, copy])
      const given = readFileSync(this.file)
      if (this.written() === before) return this.mixed(flushedOf(copy, join(this.root, 'copy')), given)
    }
    throw new Error('the disk never stood still')
  }

  /** Counts of both devices' writes so far; undefined while some are under way. */
  private written(): string | undefined {
    const counts = [this.outer, this.inner].map(({ device }) => writesOf(device))
    return counts.includes(undefined) ? undefined : counts.join()
  }

  private mixed(flushed: Buffer, given: Buffer): Buffer {
    const { random } = this.options
    const share = random.pick([0, 0.5, 1])
    const left = Buffer.from(flushed)
    for (let at = 0; at < this.bytes; at += BLOCK_BYTES) {
      const end = at + BLOCK_BYTES
      if (flushed.compare(given, at, end, at, end) !== 0 && random() < share) given.copy(left, at, at, end)
    }
    return left
  }
}

/** What the disk's file is in a copy of the outer file system, once its journal is replayed. */
function flushedOf(copy: string, folder: string): Buffer {
  const mount = new Mount(copy, folder)
  try {
    return readFileSync(join(mount.folder, 'disk.img'))
  } finally {
    mount.end()
  }
}

/** A file mounted as ext4, through a loop device. */
class Mount {
  readonly device: string
  private isOver = false

  constructor(
    readonly image: string,
    readonly folder: string,
    options: string[] = [],
  ) {
    mkdirSync(folder, { recursive: true })
    this.device = run('losetup', '--find', '--show', image)
    try {
      run('mount', '-t', 'ext4', ...options, this.device, folder)
    } catch (error) {
      run('losetup', '--detach', this.device)
      throw error
    }
    afterwards(() => this.letGo())
  }

  /** At the end of a test: whatever still holds it, it goes when that does. */
  private letGo(): void {
    try {
      this.end()
    } catch {
      run('umount', '--lazy', this.folder)
      run('losetup', '--detach', this.device)
    }
  }

  end(): void {
    if (this.isOver) return
    this.isOver = true
    // A device on it that was detached just now may still hold it for a moment.
    for (let tries = 1; ; tries++) {
      try {
        run('umount', this.folder)
        break
      } catch (error) {
        if (tries === UMOUNT_TRIES) throw error
        run('sleep', '0.1')
      }
    }
    run('losetup', '--detach', this.device)
  }
}

/** Over what is there, in place. */
function writeFlushed(path: string, bytes: Buffer): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, at)
  fsyncSync(file)
  closeSync(file)
}

function writesOf(device: string): string | undefined {
  const counts = readFileSync(`/sys/block/${basename(device)}/stat`, 'utf8')
    .trim()
    .split(/\s+/)
  const [writes, sectors, underWay] = [counts[4], counts[6], counts[8]]
  return underWay === '0' ? `${writes} ${sectors}` : undefined
}

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}
