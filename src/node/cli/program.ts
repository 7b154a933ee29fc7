/** The whole command line: every command registered, arguments parsed, the outcome as an exit code. */
import { Command, CommanderError } from 'commander'
import { Refused, toRefused } from '../api.js'
import { dataFolder } from '../data-folder.js'
import { type Act, Call, type Surroundings } from './call.js'
import { addCarryCommands } from './carry.js'
import { addCaseCommands } from './case.js'
import { addConfigCommands } from './config.js'
import { addDeviceCommands } from './device.js'
import { addMailboxCommands } from './mailbox.js'
import { addPracticeCommands } from './practice.js'
import { addRelayCommands } from './relay.js'
import { addReportCommands } from './report.js'
import { addStartCommands } from './start.js'

/** Exit codes: done, refused or failed, wrong usage. */
const DONE = 0
const FAILED = 1
const USAGE = 2

/** Flags that are about the program itself; any other leading flag means `start`. */
const PROGRAM_FLAGS = ['-h', '--help', '-V', '--version']

export async function run(args: string[], around: Surroundings, version = '0'): Promise<number> {
  const [first] = args
  const implied = first === undefined || (first.startsWith('-') && !PROGRAM_FLAGS.includes(first))
  const outcome = { code: DONE }
  const written: Promise<void>[] = []
  const program = createProgram(around, outcome, written, version)
  try {
    await program.parseAsync(implied ? ['start', ...args] : args, { from: 'user' })
    await Promise.all(written)
    return outcome.code
  } catch (error) {
    await Promise.all(written)
    if (error instanceof CommanderError && error.exitCode === 0) return DONE
    const usage = error instanceof CommanderError
    await fail(usage ? new Refused('usage', usageSentence(error)) : toRefused(error), args, around)
    return usage ? USAGE : FAILED
  }
}

/** With `--json` the failure is the one JSON value; either way the sentence stands on standard error. */
async function fail(refused: Refused, args: string[], around: Surroundings): Promise<void> {
  around.err(`${refused.sentence}\n`)
  const options = args.includes('--') ? args.slice(0, args.indexOf('--')) : args
  if (options.includes('--json')) await around.out(`${JSON.stringify({ error: refused.toRefusal() })}\n`)
}

function usageSentence(error: CommanderError): string {
  // Asking for a group of commands alone prints its help; the sentence is ours.
  if (error.code === 'commander.help') return 'Say which command; see --help.'
  const text = error.message.replace(/^error: /, '')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function createProgram(
  around: Surroundings,
  outcome: { code: number },
  written: Promise<void>[],
  version: string,
): Command {
  const program = new Command('kartoteka')
  program
    .description('Patient cases on all your devices, and nowhere else.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => written.push(around.out(text)),
      writeErr: (text) => around.err(text),
      // Printed once, by fail().
      outputError: () => {},
    })
  const act: Act =
    (handler) =>
    async (...raw) => {
      // The parser hands over: arguments, options, the command itself.
      const options = raw.at(-2) as { data?: string; json?: boolean }
      const call = new Call(dataFolder(options.data, around.env), options.json === true, around)
      const code = await handler(call, options as never, ...(raw.slice(0, -2) as never))
      outcome.code = code ?? DONE
    }
  addStartCommands(program, act)
  addConfigCommands(program, act)
  addPracticeCommands(program, act)
  addDeviceCommands(program, act)
  addMailboxCommands(program, act)
  addCarryCommands(program, act)
  addCaseCommands(program, act)
  addReportCommands(program, act)
  addRelayCommands(program, act)
  for (const leaf of leaves(program))
    leaf.option('--data <folder>', 'the data folder').option('--json', 'print one JSON value')
  return program
}

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves)
}
