/** `practice create|code|join`. */
import type { Command } from 'commander'
import { renderUnicodeCompact } from 'uqr'
import type { Act, Call } from './call.js'
import { withDevice } from './connect.js'
import { collect, readSecret } from './input.js'

type CreateOptions = { name: string; device: string; pinFile?: string }
type JoinOptions = { device: string; pinFile: string; relay: string[]; address: string[] }

export function addPracticeCommands(program: Command, act: Act): void {
  const practice = program.command('practice').description('the practice that your devices share')
  practice
    .command('create')
    .description('start a new practice on this device')
    .requiredOption('--name <name>', 'the name of the practice')
    .requiredOption('--device <name>', 'the name of this device')
    .option('--pin-file <file>', 'the Cloud PIN; - is standard input')
    .action(act(create))
  practice.command('code').description('show the practice code and an invitation').action(act(code))
  practice
    .command('join [invitation-or-code]')
    .description('join the practice of your other devices')
    .requiredOption('--device <name>', 'the name of this device')
    .requiredOption('--pin-file <file>', 'the Cloud PIN; - is standard input')
    .option('--relay <multiaddr>', 'a relay to meet at; may be repeated', collect, [])
    .option('--address <multiaddr>', 'an address of the other device; may be repeated', collect, [])
    .action(act(join))
}

async function create(call: Call, options: CreateOptions): Promise<void> {
  const pin = options.pinFile && (await readSecret(options.pinFile, call.around.stdin))
  const made = await withDevice(call, {}, ({ client }) =>
    client.practice.create({
      name: options.name,
      device: options.device,
      ...(pin === undefined ? {} : { pin }),
    }),
  )
  await call.print(made, `The practice is made. This device is ${made.device}.`)
}

async function code(call: Call): Promise<void> {
  const shown = await withDevice(call, { reads: true }, ({ client }) => client.practice.code())
  const lines = [`Practice code: ${shown.code}`, `Invitation:    ${shown.invitation}`]
  await call.print(shown, [...lines, renderUnicodeCompact(shown.invitation)].join('\n'))
}

async function join(call: Call, options: JoinOptions, invitation?: string): Promise<void> {
  const pin = await readSecret(options.pinFile, call.around.stdin)
  const joined = await withDevice(call, { network: true }, ({ client }) =>
    client.practice.join({
      relays: options.relay,
      addresses: options.address,
      device: options.device,
      pin,
      ...(invitation === undefined ? {} : { code: invitation }),
    }),
  )
  await call.print(joined, 'Joined. Cases arrive by themselves while Kartoteka runs.')
}
