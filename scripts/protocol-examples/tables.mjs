/** The tables of limits, labels and rules: read from the sources, as they stand there. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../lib/build.mjs'

const LIMIT_FILES = [
  'protocol/limits',
  'protocol/framing',
  'protocol/sync',
  'protocol/sync-changes',
  'protocol/sync-states',
  'protocol/pairing-rules',
  'protocol/invitation',
  'protocol/pin',
  'protocol/roster-format',
  'protocol/roster',
  'protocol/epoch-keys',
  'protocol/mailbox-limits',
  'protocol/mailbox-meet',
  'protocol/envelope',
  'protocol/mail',
  'protocol/mail-opening',
  'protocol/mail-collecting',
  'protocol/mail-deliveries',
  'protocol/mail-giving',
  'protocol/mail-plan',
  'protocol/mail-fold',
  'store/mail-out',
  'store/mail-sets',
  'store/statements',
  'node/mail-driver-session',
  'node/mail-driver-taking',
  'node/mail-driver',
  'store/pruning',
  'node/frames',
]

const sourceOf = (name) => readFileSync(join(root, 'src', `${name}.ts`), 'utf8')
const oneLine = (comment) =>
  comment
    .replace(/^\s*\*/gm, '')
    .replace(/\s+/g, ' ')
    .trim()
/** Of the limits, not these: codes and bits. */
const NO_LIMIT = /^(RAW|DEFLATE|BULK|MORE|SKIP|GC|LAST_TYPE|HAS_\w+|XML_\w+)$/

/** Constants in capitals that are plain numbers, with the comment above them: name, value, reason. */
function limitsIn(name) {
  const pattern = /(?:\/\*\*((?:[^*]|\*(?!\/))*)\*\/\n)?(?:export )?const ([A-Z][A-Z0-9_]+) = ([\d_ *]+)\n/g
  let reason = ''
  let end = 0
  return [...sourceOf(name).matchAll(pattern)].map((found) => {
    const [all, comment, constant, sum] = found
    if (comment !== undefined) reason = oneLine(comment).replace(/ \(document \d[^)]*\)/, '')
    else if (found.index !== end) reason = ''
    end = found.index + all.length
    const value = sum.split(/(?<!\*)\*(?!\*)/).reduce((product, factor) => {
      const [base, power = 1] = factor.split('**').map((digits) => Number(digits.replaceAll('_', '').trim()))
      return product * base ** power
    }, 1)
    // Two constants under one comment: the second one's reason is the first one's.
    return { constant, value, reason }
  })
}

/** The table of limits in PROTOCOL.md. */
export function limitsText() {
  const parts = LIMIT_FILES.map((name) => {
    const rows = limitsIn(name)
      .filter(({ constant }) => !NO_LIMIT.test(constant))
      .map(
        ({ constant, value, reason }) => `| \`${constant}\` | ${value.toLocaleString('en-US')} | ${reason} |`,
      )
    return [`\`src/${name}.ts\``, '', '| constant | value | reason |', '|---|---:|---|', ...rows].join('\n')
  })
  return parts.join('\n\n')
}

/** The tables of labels in SECURITY.md: those of labels.ts, and every other domain of the sources. */
export function labelsText() {
  const labels = [
    ...sourceOf('protocol/labels').matchAll(/\/\*\* (.+?) \*\/\nexport const (\w+) = '([^']+)'/g),
  ]
  const rows = labels.map(([, what, constant, label]) => `| \`${label}\` | ${what} | \`${constant}\` |`)
  const others = sourceFiles().flatMap((file) =>
    [
      ...readFileSync(join(root, file), 'utf8').matchAll(/^const (\w+) = utf8\('(kartoteka\/1 [^']+)'\)/gm),
    ].map(([, constant, label]) => `| \`${label}\` | \`${constant}\` in \`${file}\` |`),
  )
  return [
    '| label | what for | constant in `src/protocol/labels.ts` |',
    '|---|---|---|',
    ...rows,
    '',
    'Domains of hashes and signatures outside the trust part:',
    '',
    '| domain | constant |',
    '|---|---|',
    ...others,
  ].join('\n')
}

function sourceFiles() {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .map((name) => `src/${name.replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.gen.ts') && name !== 'src/protocol/labels.ts')
    .sort()
}

/** Every rule with its wording, from the first comment of the file that keeps it. */
export function rules() {
  return sourceFiles().flatMap((file) => {
    const [, header] = /^\/\*\*((?:[^*]|\*(?!\/))*)\*\//.exec(readFileSync(join(root, file), 'utf8')) ?? []
    const paragraphs = (header ?? '').replace(/^ \* ?/gm, '').split(/\n(?=\s*\[[A-Z]\d+\])|\n\s*\n/)
    return paragraphs.flatMap((paragraph) => {
      const [, id, wording] = /^\s*\[([A-Z]\d+)\]([\s\S]*)/.exec(paragraph) ?? []
      return id ? [{ id, wording: oneLine(wording).replace(/[;.]$/, ''), file }] : []
    })
  })
}

const isOfRosterForks = ({ id, file }) => id.startsWith('F') && file.includes('roster')

/** The tests that name a rule. Two families share the letter F: their tests tell which is meant. */
function testsOf({ id, file }) {
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((name) => `test/${name.replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith('.ts') && !name.startsWith('test/house/'))
    .filter((name) => readFileSync(join(root, name), 'utf8').includes(`[${id}]`))
    .filter((name) => !id.startsWith('F') || name.includes('roster') === file.includes('roster'))
    .sort()
}

/** Where tests hold a rule without naming it. */
const UNNAMED = {
  'src/protocol/roster.ts': '`test/protocol/roster.test.ts`, unnamed',
  'src/protocol/pairing-join.ts': '`test/protocol/pairing.test.ts`, unnamed',
}

/** The table of rules in PROTOCOL.md. */
export function rulesText() {
  const order = 'FDATXSHRENVLPB'
  /** By letter, the forks of the roster behind the frontiers; then by number. */
  const placeOf = ({ id, file }) =>
    100 * (order.indexOf(id[0]) + (isOfRosterForks({ id, file }) ? 0.5 : 0)) + Number(id.slice(1))
  const rows = rules()
    .sort((a, b) => placeOf(a) - placeOf(b))
    .map((rule) => {
      const tests = testsOf(rule).map((name) => `\`${name}\``)
      return `| [${rule.id}] | ${rule.wording} | \`${rule.file}\` | ${tests.join(', ') || UNNAMED[rule.file] || ''} |`
    })
  return ['| rule | what it says | kept by | held by |', '|---|---|---|---|', ...rows].join('\n')
}
