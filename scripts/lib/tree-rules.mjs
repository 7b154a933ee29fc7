// @ts-check
/** What no file in git may say, and how long the sources are. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A file above it deserves a look. */
const LONG_LINES = 400

// Written so that this file doesn't break its own rule.
const BANNED = [
  { pattern: /(?<![\w.-])\/(wor[k]|tmp\/bash_job[s])(?![\w-])/, sentence: 'names a folder of one machine' },
  { pattern: /\b(TOD[O]|FIXM[E])\b/, sentence: 'leaves work behind: do it, or open an issue' },
]

/**
 * All text files in git, or undefined where there is no git.
 *
 * @param {string} root
 * @returns {Map<string, string> | undefined} Path → text.
 */
export function trackedFiles(root) {
  const run = spawnSync('git', ['ls-files', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (run.status !== 0) return undefined
  const files = new Map()
  for (const path of run.stdout.split('\0').filter(Boolean)) {
    const text = read(join(root, path))
    if (text !== undefined && !text.includes('\0')) files.set(path, text)
  }
  return files
}

/**
 * @param {Map<string, string>} files
 * @returns {string[]}
 */
export function checkText(files) {
  return [...files].flatMap(([path, text]) =>
    BANNED.flatMap(({ pattern, sentence }) => {
      const index = text.search(pattern)
      return index < 0 ? [] : [`${path}:${text.slice(0, index).split('\n').length} ${sentence}`]
    }),
  )
}

/**
 * @param {Map<string, string>} sources
 * @returns {{ medianLines: number, sentence: string }}
 */
export function describeSizes(sources) {
  const sizes = [...sources]
    .filter(([path]) => !path.endsWith('.gen.ts'))
    .map(([path, text]) => ({ path, lines: text.split('\n').length - 1 }))
    .sort((a, b) => b.lines - a.lines)
  const medianLines = sizes[Math.floor(sizes.length / 2)]?.lines ?? 0
  const long = sizes.filter(({ lines }) => lines > LONG_LINES).map(({ path, lines }) => `${path} ${lines}`)
  const longest = long.length > 0 ? `; above ${LONG_LINES}: ${long.join(', ')}` : ''
  return { medianLines, sentence: `${sizes.length} sources, median ${medianLines} lines${longest}` }
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Deleted and not yet committed, or a link.
    return undefined
  }
}
