/** What a person does with a practice and its devices. */
import { toHex } from '../../protocol/bytes.js'
import { isName } from '../../protocol/epoch-keys.js'
import { PIN_FAULT_SENTENCES, pinFault } from '../../protocol/pin.js'
import { changeSettings, createGenesis } from '../../protocol/roster-write.js'
import { type DeviceApi, Refused } from '../api.js'
import { joining } from './join-driver.js'
import type { Practice } from './practice-state.js'
import { hasPractice } from './roster-keeper.js'
import { deviceStatuses } from './status.js'
import { guarded } from './store-refusals.js'

type PracticeApi = Pick<DeviceApi, 'practice' | 'device'>

const done = { ok: true } as const

export function practiceApi(practice: Practice): PracticeApi {
  const { options } = practice
  return {
    practice: {
      async create({ name, device, pin }) {
        if (options.keeper.current) throw hasPractice()
        // Somebody may be saying Add at this moment, and one device can't be in two practices.
        if (practice.joins.isJoining) throw joining()
        const [practiceName, deviceName] = [name.trim(), device.trim()]
        if (!isName(practiceName))
          throw new Refused('bad-name', 'Give the practice a name of up to 128 bytes.')
        if (!isName(deviceName)) throw new Refused('bad-name', 'Give this device a name of up to 128 bytes.')
        // Nothing that derives from the PIN is stored: it is only held against the rules.
        const fault = pin === undefined ? undefined : pinFault(pin, practiceName)
        if (fault) throw new Refused(`pin-${fault}`, PIN_FAULT_SENTENCES[fault])
        const { natives, random, identity, keeper } = options
        const written = createGenesis({
          natives,
          random,
          device: { ...identity, name: deviceName },
          practiceName,
        })
        if ('error' in written)
          throw new Refused('failed', `The practice could not be created (${written.error}).`)
        await guarded(() => keeper.begin(written.roster))
        if (pin !== undefined) await options.notes.choosePin()
        await practice.begin()
        return { practice: toHex(written.roster.practiceId), device: deviceId(practice) }
      },
      code: async () => practice.invites.code(),
      async join({ code, relays, addresses, device, pin }, signal) {
        const roster = await practice.joins.join({
          code,
          addresses,
          relays,
          device,
          pin,
          signal,
        })
        await options.notes.choosePin()
        await practice.begin()
        return { practice: toHex(roster.practiceId), device: deviceId(practice) }
      },
      async checkPin({ pin, practice: name }) {
        const fault = pinFault(pin, name)
        return { ok: fault === undefined, sentence: fault ? PIN_FAULT_SENTENCES[fault] : null }
      },
      async choosePin({ pin }) {
        const fault = pinFault(pin, practice.state().opened.practiceName)
        if (fault) throw new Refused(`pin-${fault}`, PIN_FAULT_SENTENCES[fault])
        await guarded(() => options.notes.choosePin())
        return done
      },
    },
    device: {
      async list() {
        practice.state()
        return deviceStatuses(practice).map(
          ({ id, name, self, lastSeen, upToDate, behind, collectsMail }) => ({
            id,
            name,
            self,
            lastSeen,
            upToDate,
            behind,
            collectsMail,
            removed: false,
          }),
        )
      },
      async rename({ id, name }) {
        const device = findDevice(practice, id)
        const written = await guarded(() =>
          options.keeper.write((context) =>
            changeSettings(context, { deviceNames: { [toHex(device)]: name.trim() } }),
          ),
        )
        if ('error' in written) {
          if (written.error === 'bad-name')
            throw new Refused('bad-name', 'Give the device a name of up to 128 bytes.')
          throw new Refused('failed', `The device could not be renamed (${written.error}).`)
        }
        practice.rosterChanged()
        return done
      },
      async address({ id, addresses }) {
        const device = findDevice(practice, id)
        for (const address of addresses) {
          if (!/^\/(ip4|ip6|dns|dns4|dns6)\/[^/]+\/tcp\/\d+/.test(address)) {
            throw new Refused(
              'bad-address',
              `"${address}" isn't an address such as /ip4/192.168.1.20/tcp/4001.`,
            )
          }
        }
        const peer = toHex(device)
        const known = options.notes.peers.get(peer) ?? { addresses: [], lastSeen: null }
        known.addresses = [...new Set([...addresses, ...known.addresses])].slice(0, 8)
        options.notes.peers.set(peer, known)
        await guarded(() => options.notes.savePeers())
        practice.peers?.dialAll()
        return done
      },
      invite: ({ pin, minutes, yes }) => practice.invites.invite(pin, minutes, yes),
      inviteState: async () => practice.invites.current(),
      async answer({ add }) {
        practice.invites.answer(add)
        return done
      },
      async closeInvite() {
        practice.invites.close()
        return done
      },
    },
  }
}

function deviceId(practice: Practice): string {
  return deviceStatuses(practice)[0]!.id
}

function findDevice(practice: Practice, id: string): Uint8Array {
  const device = practice.deviceByPeerId(id)
  if (!device) throw new Refused('no-device', `There is no device "${id}" in this practice.`)
  return device
}
