/** `device list|invite|rename|address`. */
import type { Command } from 'commander'
import type { Act, Call } from './call.js'
import { withDevice } from './connect.js'
import { wholeNumber } from './input.js'
import { invite } from './invite.js'
import { count, moment, table } from './text.js'

export function addDeviceCommands(program: Command, act: Act): void {
  const device = program.command('device').description('the devices of the practice')
  device.command('list').description('show all devices').action(act(list))
  device
    .command('invite')
    .description('let one more device join')
    .requiredOption('--pin-file <file>', 'the Cloud PIN; - is standard input')
    .option('--minutes <number>', 'how long the window stays open', wholeNumber(1, 1440), 10)
    .option('--yes', 'add whoever proves the PIN, without asking')
    .action(act(invite))
  device
    .command('rename <id> <name>')
    .description('give a device another name')
    .action(
      act(async (call, _options: object, id: string, name: string) => {
        await call.print(await withDevice(call, {}, ({ client }) => client.device.rename({ id, name })), '')
      }),
    )
  device
    .command('address <id> <multiaddr...>')
    .description('say where a device can be reached')
    .action(
      act(async (call, _options: object, id: string, addresses: string[]) => {
        await call.print(
          await withDevice(call, {}, ({ client }) => client.device.address({ id, addresses })),
          '',
        )
      }),
    )
}

async function list(call: Call): Promise<void> {
  const devices = await withDevice(call, { reads: true }, ({ client }) => client.device.list())
  const rows = devices.map((device) => [
    device.name,
    device.self ? 'this device' : `last seen ${moment(device.lastSeen)}`,
    stateOf(device),
    device.id,
  ])
  await call.print(devices, table(rows, 60))
}

function stateOf(device: { removed: boolean; upToDate: boolean; self: boolean; behind: number }): string {
  if (device.removed) return 'removed'
  if (device.self) return ''
  return device.upToDate ? 'up to date' : `${count(device.behind, 'change')} behind`
}
