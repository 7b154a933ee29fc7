/** The strength of the whole simulator: rules broken on purpose are noticed. `npm run sim -- --bugs` shows all of them. */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { BUGS } from '../../scripts/lib/sim-bugs.mjs'
import { bundleSimulator, editText } from '../../scripts/lib/sim-bundle.mjs'
import { runSeeds } from '../../scripts/lib/sim-pool.mjs'
import type { Strain } from './draw.js'

const MOST_SEEDS = 60
const root = fileURLToPath(new URL('../../', import.meta.url))

/** Those that a few seeds are enough for, and the strain under which they are, and from which seed on. */
const QUICK: [name: string, strain?: Strain, from?: number][] = [
  ['missing flush: durable is said of what is not'],
  ['acknowledged before it is durable'],
  ['HELLO before the flush'],
  ['mail is acknowledged before it is durable'],
  ['a relay answers before it has written'],
  ['an unclean start continues its log'],
  ['a copied folder continues its log', 'forks'],
  ['a copy that goes on under keys of its own continues its log', 'copies'],
  ['the skipped fork check: a contradicted claim passes', 'forks'],
  ['cut by sequence only', 'apart'],
  ['a cut without a restatement', 'forks'],
  ['cuts are not told in words', 'forksByMail'],
  ['forks are not healed by the ladders of words', 'forksByMail'],
  ['wrong gap rule: what follows a gap is taken'],
  ['a cut ends all doubts about its log', 'doubted'],
  ['putting a store in order drops its own word', 'rotOfClaims'],
  ['any older copy makes a damaged case whole', 'rotBehind'],
  ['what is let go takes the last of a damaged case with it', 'rotBehind'],
  ['whole states by mail don’t name what their giver can’t read', 'rotByMail'],
  ['damaged cases that are asked for by mail are given by nobody', 'rotByMail'],
  ['refusing instead of parking', 'doubted'],
  ['a change without its base is dropped', 'none'],
  ['a parked change is never tried again'],
  ['touched vectors forget'],
  ['a state is taken without its touched vector'],
  ['what lies beyond the frontier is never restated'],
  ['a restatement leaves out what is parked', 'apart'],
  ['late edits of what was erased come back'],
  ['a tombstone erases only what is here'],
  ['the claims of the end are adopted, not those of the beginning', 'handovers'],
  ['a target is adopted where its beginning is not held', 'putBack'],
  ['a target is adopted on another branch', 'putBack'],
  ['what a transfer brought beyond its target counts as claimed', 'states'],
  ['a transfer by mail counts as whole before its cases are in'],
  ['what one other device holds is dropped for all', 'none'],
  ['what was left counts as held, whatever the recipient says', 'forksByMail'],
  ['mail is released on the relay’s word', 'losses', 20],
  ['a deposit replaces mail of recipients that it does not name', 'forksByMail'],
  ['mail that misses something is thrown away at once', 'forksByMail'],
]

it.each(BUGS)('$name: every edit finds its place', ({ edits }) => {
  const texts = new Map<string, string>()
  for (const edit of edits) {
    const text = texts.get(edit.file) ?? readFileSync(join(root, edit.file), 'utf8')
    texts.set(edit.file, editText(text, edit))
  }
  expect(texts.size).toBeGreaterThan(0)
})

describe('a broken rule is noticed', () => {
  it.each(QUICK)('%s', { timeout: 600_000 }, async (name, strain, from = 1) => {
    const { edits } = BUGS.find((bug) => bug.name === name)!
    const file = await bundleSimulator({ abstract: true, edits })
    const isEnough = ({ problems }: { problems: string[] }) => problems.length > 0
    const options = strain ? { strain } : {}
    const { failed } = await runSeeds({
      file,
      kind: 'simulateFull',
      from,
      count: MOST_SEEDS,
      options,
      isEnough,
    })
    await rm(dirname(file), { recursive: true, force: true })
    expect(failed, 'no seed noticed it').not.toEqual([])
  })
})
