/** `doctor`: checks a device on the spot, and says in one sentence each what is wrong and what to do. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fingerprints } from '../../store/fingerprints.js'
import type { DeviceApi } from '../api.js'
import type { DeviceEvent, DoctorCheck } from '../contract.js'
import type { Notes } from './notes.js'
import type { Practice } from './practice-state.js'
import { writeRefusal } from './store-refusals.js'
import { ROTTEN, type StoreWatch } from './store-watch.js'

export class Doctor {
  constructor(
    private readonly practice: Practice,
    private readonly folder: string,
    private readonly watch: StoreWatch,
  ) {}

  async run(): Promise<DoctorCheck[]> {
    return [
      await this.folderCheck(),
      await this.keysCheck(),
      this.diskCheck(),
      await this.storeCheck(),
      this.practiceCheck(),
      this.networkCheck(),
      this.devicesCheck(),
    ]
  }

  private async folderCheck(): Promise<DoctorCheck> {
    const mode = await modeOf(this.folder)
    if (mode === undefined)
      return {
        check: 'folder',
        ok: false,
        sentence: 'The data folder is not where it was.',
        fix: `Export the cases now. Then close Kartoteka, and put the folder back: ${this.folder}`,
      }
    const ok = isPrivate(mode)
    return {
      check: 'folder',
      ok,
      sentence: ok
        ? 'Only you can read the data folder.'
        : 'Other users of this computer can read the data folder.',
      fix: ok ? '' : `chmod 700 "${this.folder}"`,
    }
  }

  private async keysCheck(): Promise<DoctorCheck> {
    const file = join(this.folder, 'keys.json')
    const mode = await modeOf(file)
    if (mode === undefined)
      return {
        check: 'keys',
        ok: false,
        sentence: 'The key file is gone: after the next start nothing here can be opened.',
        fix: `Export the cases now. Then put the file back: ${file}`,
      }
    const ok = isPrivate(mode)
    return {
      check: 'keys',
      ok,
      sentence: ok
        ? 'The keys lie in a file that only you can read. Whoever can read your files can read the cases: encrypt the disk.'
        : 'Other users of this computer can read the key file.',
      fix: ok ? '' : `chmod 600 "${file}"`,
    }
  }

  private diskCheck(): DoctorCheck {
    const failed = this.practice.options.db.failed
    return {
      check: 'disk',
      ok: !failed,
      sentence: failed ? writeRefusal(failed).sentence : 'The disk takes what is written.',
      fix: failed ? 'Free some space, then start Kartoteka again.' : '',
    }
  }

  /** Reads every case and checks it. */
  private async storeCheck(): Promise<DoctorCheck> {
    if (await this.watch.look())
      return { check: 'store', ok: false, sentence: ROTTEN, fix: 'Start Kartoteka again.' }
    if (!this.practice.hasPractice)
      return { check: 'store', ok: true, sentence: 'There are no cases yet.', fix: '' }
    const replica = this.practice.replica()
    let cases = 0
    for await (const _ of fingerprints(replica)) cases++
    const damaged = replica.damaged.size
    return {
      check: 'store',
      ok: damaged === 0,
      sentence:
        damaged === 0 ? `All stored cases (${cases}) are sound.` : `${damaged} stored cases are damaged.`,
      fix: damaged === 0 ? '' : 'Connect another device: it brings them back.',
    }
  }

  private practiceCheck(): DoctorCheck {
    const ok = this.practice.hasPractice
    return {
      check: 'practice',
      ok,
      sentence: ok ? 'This device belongs to a practice.' : 'There is no practice here yet.',
      fix: ok ? '' : 'Create one, or join your other devices.',
    }
  }

  private networkCheck(): DoctorCheck {
    const { host, options } = this.practice
    if (!host)
      return { check: 'network', ok: true, sentence: 'This command runs without a network.', fix: '' }
    const addresses = host.addresses()
    const lan = options.lan
      ? 'Devices on this network are looked for.'
      : 'Devices on this network are not looked for.'
    return {
      check: 'network',
      ok: addresses.length > 0,
      sentence:
        addresses.length > 0
          ? `Reachable at ${addresses.length} addresses. ${lan}`
          : `No address to be reached at. ${lan}`,
      fix: addresses.length > 0 ? '' : 'Check the network connection and the setting "listen".',
    }
  }

  private devicesCheck(): DoctorCheck {
    const waiting = this.practice.options.keeper
      .others()
      .filter((device) => this.practice.behind(device) !== 0).length
    return {
      check: 'devices',
      ok: true,
      sentence:
        waiting === 0
          ? 'No device is known to lack anything.'
          : `${waiting} other devices are not known to have everything.`,
      fix: waiting === 0 ? '' : 'Switch them on in the same network.',
    }
  }
}

/** undefined where there is nothing. */
const modeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ mode }) => mode & 0o777,
    () => undefined,
  )

const isPrivate = (mode: number) => process.platform === 'win32' || (mode & 0o077) === 0

export function configApi(notes: Notes, emit: (event: DeviceEvent) => void): DeviceApi['config'] {
  return {
    get: async () => notes.all(),
    async set({ key, value }) {
      await notes.set(key, value)
      emit({ type: 'status' })
      return { ok: true }
    },
  }
}
