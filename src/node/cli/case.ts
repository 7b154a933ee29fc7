/** `case …`: everything about cases that fits a line; import and export have their own files. */
import type { Command } from 'commander'
import type { Client } from '../router.js'
import type { Act, Call } from './call.js'
import { exportCases } from './case-export.js'
import { importCases } from './case-import.js'
import { caseText } from './case-text.js'
import { withDevice } from './connect.js'
import { parseField, readText, wholeNumber } from './input.js'
import { count, table } from './text.js'

type ListOptions = { drawer?: string; match?: string; deleted?: boolean }
type TypeOptions = { in: string; at: number; erase: number; text: string }
type Kind = 'consultation' | 'prescription' | 'analysis'

export function addCaseCommands(program: Command, act: Act): void {
  const cases = program.command('case').description('cases')
  cases
    .command('list')
    .description('show the list of cases')
    .option('--drawer <name>', 'only this drawer')
    .option('--match <text>', 'only names with this in them')
    .option('--deleted', 'deleted ones too')
    .action(act(list))
  cases.command('show <id>').description('show one case').action(act(show))
  cases
    .command('new')
    .description('make a case')
    .option('--json-file <file>', 'its content; - is standard input')
    .action(act(create))
  cases
    .command('set <id>')
    .argument('<field=value...>', 'a dotted path and its new value; an empty one clears', addField)
    .description('change fields of a case')
    .action(act(set))
  cases
    .command('add <id>')
    .addArgument(
      cases.createArgument('<kind>', 'what to add').choices(['consultation', 'prescription', 'analysis']),
    )
    .requiredOption('--json-file <file>', 'its content; - is standard input')
    .description('add a record to a case')
    .action(act(add))
  cases
    .command('type <id>')
    .description('edit the notes of a consultation, character by character')
    .requiredOption('--in <consultation>', 'the id of the consultation')
    .requiredOption('--at <offset>', 'where, in UTF-16 units', wholeNumber(0))
    .option('--erase <number>', 'how much to erase first', wholeNumber(0), 0)
    .option('--text <text>', 'what to insert', '')
    .action(act(type))
  addLifecycle(cases, act)
  cases
    .command('import <file>')
    .description('import cases, one JSON value a line; - is standard input')
    .addOption(cases.createOption('--format <format>', 'how the file is written').choices(['jsonl']))
    .option('--preview', 'only say what would happen')
    .action(act(importCases))
  cases
    .command('export <file>')
    .description('write all cases to a file; - is standard output')
    .option('--only <id...>', 'only these cases')
    .action(act(exportCases))
}

function addLifecycle(cases: Command, act: Act): void {
  const steps = ['archive', 'unarchive', 'delete', 'restore'] as const
  const words = {
    archive: 'take cases out of their drawers',
    unarchive: 'put archived cases back',
    delete: 'delete cases; they can be restored',
    restore: 'bring deleted cases back',
  }
  for (const step of steps)
    cases
      .command(`${step} <id...>`)
      .description(words[step])
      .action(
        act(async (call, _options: object, ids: string[]) => {
          await done(call, (client) => client.cases[step]({ ids }))
        }),
      )
}

async function done(call: Call, work: (client: Client) => Promise<{ ok: true }>): Promise<void> {
  await call.print(await withDevice(call, {}, ({ client }) => work(client)), '')
}

async function list(call: Call, options: ListOptions): Promise<void> {
  const { drawer, match, deleted = false } = options
  const rows = await withDevice(call, { reads: true }, ({ client }) =>
    client.cases.list({ drawer, match, deleted }),
  )
  const lines = rows.map((row) => [
    row.name,
    row.birthYear === null ? '' : String(row.birthYear),
    row.drawer ?? '',
    [
      row.archived && 'archived',
      row.deleted && (row.lateEdits ? 'deleted, edited later' : 'deleted'),
      row.conflicts > 0 && count(row.conflicts, 'other value'),
    ]
      .filter(Boolean)
      .join(', '),
    row.id,
  ])
  await call.print(rows, table(lines))
}

async function show(call: Call, _options: object, id: string): Promise<void> {
  const { json } = await withDevice(call, { reads: true }, ({ client }) => client.cases.show({ id }))
  await call.printJson(json, call.json ? '' : caseText(json))
}

async function create(call: Call, options: { jsonFile?: string }): Promise<void> {
  const json = options.jsonFile && (await readText(options.jsonFile, call.around.stdin))
  const made = await withDevice(call, {}, ({ client }) =>
    client.cases.create(json === undefined ? {} : { json }),
  )
  await call.print(made, made.id)
}

function addField(text: string, before: [string, string][] | undefined): [string, string][] {
  return [...(before ?? []), parseField(text)]
}

async function set(call: Call, _options: object, id: string, fields: [string, string][]): Promise<void> {
  await done(call, (client) => client.cases.set({ id, fields }))
}

async function add(call: Call, options: { jsonFile: string }, id: string, kind: Kind): Promise<void> {
  const json = await readText(options.jsonFile, call.around.stdin)
  const added = await withDevice(call, {}, ({ client }) => client.cases.add({ id, kind, json }))
  await call.print(added, added.id)
}

async function type(call: Call, options: TypeOptions, id: string): Promise<void> {
  const { in: consultation, at, erase, text } = options
  await done(call, (client) => client.cases.type({ id, consultation, at, erase, text }))
}
