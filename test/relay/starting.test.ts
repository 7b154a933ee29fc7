/** What an operator reads where a relay can't start. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startRelay } from '../../relay/server.js'
import { type RelaySettings, readSettings } from '../../relay/settings.js'

const isLinux = process.platform === 'linux'

it.skipIf(!isLinux).each(['incarnation', 'identity.json'])(
  'a full disk at the start is named: %s',
  async (name) => {
    const root = mkdtempSync(join(tmpdir(), 'kartoteka-relay-'))
    const folder = join(root, 'data')
    mkdirSync(folder)
    // Writing it meets a disk without room.
    symlinkSync('/dev/full', join(folder, `${name}.new`))
    const settings = (await readSettings({}, {}, folder)) as RelaySettings
    const outcome = await startRelay({ folder, settings, log: () => {} })
    rmSync(root, { recursive: true })
    expect(outcome).toEqual({
      code: 'disk-full',
      sentence: `The disk of ${folder} is full: make room and start again.`,
    })
  },
)
