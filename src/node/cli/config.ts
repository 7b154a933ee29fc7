/** `config get|set`: the preferences of this device. */
import type { Command } from 'commander'
import { Refused } from '../api.js'
import type { Act } from './call.js'
import { withDevice } from './connect.js'
import { table } from './text.js'

export function addConfigCommands(program: Command, act: Act): void {
  const config = program.command('config').description('preferences of this device')
  config
    .command('get [key]')
    .description('show one preference, or all')
    .action(
      act(async (call, _options: object, key?: string) => {
        const all = await withDevice(call, { reads: true }, ({ client }) => client.config.get())
        if (key !== undefined && !Object.hasOwn(all, key))
          throw new Refused('unknown-key', `There is no preference "${key}".`)
        const shown = key === undefined ? all : { [key]: all[key] ?? '' }
        await call.print(shown, key === undefined ? table(Object.entries(all)) : (all[key] ?? ''))
      }),
    )
  config
    .command('set <key> <value...>')
    .description('change a preference')
    .action(
      act(async (call, _options: object, key: string, values: string[]) => {
        const value = values.join(' ')
        await call.print(await withDevice(call, {}, ({ client }) => client.config.set({ key, value })), '')
      }),
    )
}
