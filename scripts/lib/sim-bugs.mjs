// @ts-check
/**
 * Bugs on purpose: rules of the protocol that are broken one at a time, each as an edit of a source that only a bundle
 * of the simulator sees. The simulator must notice every one of them, or it proves nothing. What an edit looks for must
 * stand in the source exactly once, so that none of them goes stale unnoticed.
 */

/** @typedef {import('./sim-bundle.mjs').Edit} Edit */

/** Any of these may stand for the sources: `[file, from, to]`. */
const STORE = 'src/store'
const PROTOCOL = 'src/protocol'
const NODE = 'src/node'

/** @type {Record<string, [file: string, from: string, to: string][]>} What is broken → how. */
const BROKEN = {
  // ---- durability
  'missing flush: durable is said of what is not': [
    [`${STORE}/sealed-db.ts`, 'if (!this.dirty) return\n', 'return\n'],
  ],
  'acknowledged before it is durable': [
    [
      `${NODE}/driver-announcements.ts`,
      '      await replica.flush()\n      for (const { session, ...durable } of due)',
      '      for (const { session, ...durable } of due)',
    ],
  ],
  'HELLO before the flush': [
    [
      `${NODE}/driver-announcements.ts`,
      'const stated = statements.digest()\n    await replica.flush()',
      'const stated = statements.digest()',
    ],
  ],
  'mail is acknowledged before it is durable': [
    [
      `${NODE}/mail-driver-taking.ts`,
      '    await replica.flush()\n    statements.noteUnusable(useless)',
      '    statements.noteUnusable(useless)',
    ],
    [
      `${NODE}/mail-office.ts`,
      '    await replica.flush()\n    await statements.state()',
      '    await statements.state()',
    ],
    [`${STORE}/statements.ts`, '    await replica.db.flush()\n', ''],
  ],
  'a relay answers before it has written': [
    [
      'relay/store/committer.ts',
      'await this.db.batch(operations, { ...VIEW, sync: true } as object)',
      'await this.db.batch(operations, VIEW)',
    ],
  ],

  // ---- logs and forks
  'an unclean start continues its log': [
    [`${STORE}/replica.ts`, 'replica.meta.running || replica.isMoved', 'replica.isMoved'],
  ],
  'a copied folder continues its log': [
    [
      `${STORE}/replica.ts`,
      'meta !== undefined && replica.meta.binding !== options.binding',
      'meta === undefined',
    ],
  ],
  'a copy that goes on under keys of its own continues its log': [
    [`${STORE}/replica.ts`, 'return !log || equalBytes(log.device, this.options.device.ed)', 'return true'],
  ],
  'the skipped fork check: a contradicted claim passes': [
    [
      `${PROTOCOL}/frontier.ts`,
      "return check && equalBytes(check, claim.check) ? 'behind' : 'fork'",
      "return 'behind'",
    ],
    [`${PROTOCOL}/frontier.ts`, "? 'same' : 'fork'\n  const check", "? 'same' : 'same'\n  const check"],
  ],
  'only the owner heals a fork': [
    [
      `${STORE}/healing.ts`,
      'if (!log || (log.cut && log.cut.seq <= seq)) return false',
      'if (!log || (log.cut && log.cut.seq <= seq)) return false\n' +
        '    if (!equalBytes(log.device, replica.options.device.ed)) return false',
    ],
  ],
  'cut by sequence only': [
    [`${STORE}/healing.ts`, 'if (!mine || !equalBytes(mine, check)) return false', ''],
  ],
  'a cut without a restatement': [
    [
      `${STORE}/healing.ts`,
      'const { changes, parts } = await restatementOf(replica, key, caseId)',
      'const { changes: all, parts } = await restatementOf(replica, key, caseId)\n' +
        "    const changes = String(match).includes('touched.get(id)') ? [] : all",
    ],
  ],
  'cuts may rise again': [
    [`${STORE}/healing.ts`, '(log.cut && log.cut.seq <= seq)', '(log.cut?.seq === seq)'],
  ],
  'cuts are not told': [
    [`${PROTOCOL}/sync-hello.ts`, 'cuts: closed.filter((log) => log.cut).map(cutToWire)', 'cuts: []'],
  ],
  'cuts are not told in words': [[`${NODE}/mail-office.ts`, 'cuts: cut.map(cutToWire)', 'cuts: []']],
  'forks are not healed by the ladders of words': [
    [`${NODE}/mail-office.ts`, 'if (rungs.length > 0 && (await', 'if (rungs.length < 0 && (await'],
  ],
  'who is known further goes on writing its log': [
    [`${PROTOCOL}/sync.ts`, 'if (claim.log === summary.currentLog) this', 'if (claim.seq < 0) this'],
    [
      `${NODE}/mail-office.ts`,
      "if (verdict === 'ahead' && claim",
      "if (verdict === 'ahead' && claim.seq < 0 && claim",
    ],
  ],
  'wrong gap rule: what follows a gap is taken': [
    [`${PROTOCOL}/door.ts`, 'if (run.from !== tip.seq) return', 'if (run.from < tip.seq) return'],
    [
      `${PROTOCOL}/door.ts`,
      'if (!natives.verify(tip.device, signed, run.signature)) return',
      'if (run.from === tip.seq && !natives.verify(tip.device, signed, run.signature)) return',
    ],
  ],
  'doubts are not kept': [
    [
      `${STORE}/doubts.ts`,
      'const parted = await partedLogs(replica, target, checks)\n',
      'const parted = await partedLogs(replica, target, checks)\n  if (parted.size >= 0) return []\n',
    ],
    [`${STORE}/doubts.ts`, 'if (seq <= held) return []', 'return []'],
    [`${STORE}/doubts.ts`, 'if (seq <= (replica.logs.get(log)?.seq ?? 0)) return []', 'return []'],
  ],
  'a cut ends all doubts about its log': [
    [`${STORE}/doubts.ts`, 'olds.filter(({ base }) => base >= cut.seq).map(', 'olds.map('],
    [
      `${STORE}/doubts.ts`,
      'olds.filter(({ base }) => base < cut.seq)',
      'olds.filter(({ base }) => base < 0)',
    ],
  ],

  // ---- rows that have rotted
  'putting a store in order drops its own word': [
    [`${STORE}/distrust.ts`, "keysIn(allOf('l'))", 'keysIn({ gte: RETAINED.gte, lte: RETAINED.lt })'],
  ],
  'any older copy makes a damaged case whole': [
    [
      `${STORE}/taking.ts`,
      'if (given < claimed && !(await isRetained(replica, log, given))) return false',
      'if (given > claimed && !(await isRetained(replica, log, given))) return true',
    ],
  ],
  'what is let go takes the last of a damaged case with it': [
    [`${STORE}/logs.ts`, '    await this.keep(() => this.readableOf(own))\n', ''],
  ],

  // ---- content
  'refusing instead of parking': [
    [
      `${STORE}/admitting.ts`,
      '        await applyRun(replica, drafts, taken)\n',
      '        const before = drafts.size\n        await applyRun(replica, drafts, taken)\n' +
        '        if ([...drafts.values()].some(({ state }) => state.parked.length > 0)) {\n' +
        '          drafts.clear()\n          outcome.refused.push(String(before))\n          break\n        }\n',
    ],
  ],
  'a change without its base is dropped': [
    [`${STORE}/case-content.ts`, "return 'parked'\n    if (contents", "return 'void'\n    if (contents"],
  ],
  'a parked change is never tried again': [
    [`${STORE}/case-content.ts`, "} else if (fate === 'merged') this.retryParked()", '}'],
    [`${STORE}/taking.ts`, '    draft.retryParked()\n', ''],
  ],
  'touched vectors forget': [
    [
      `${STORE}/case-content.ts`,
      'if (seq > (this.state.touched.get(log) ?? 0)) this',
      'if (seq % 3 !== 0 && seq > (this.state.touched.get(log) ?? 0)) this',
    ],
  ],
  'a state is taken without its touched vector': [
    [`${STORE}/taking.ts`, 'for (const { log, seq } of touched) draft.touch(log, seq)', ''],
  ],
  'what lies beyond the frontier is never restated': [
    [`${NODE}/driver-transfers.ts`, 'if (!quiet) return', 'if (quiet || !quiet) return'],
  ],
  'a restatement leaves out what is parked': [
    [
      `${STORE}/restatement.ts`,
      'for (const { payload } of state.parked) add(payload)',
      'for (const { payload } of state.parked.slice(state.parked.length)) add(payload)',
    ],
  ],
  'a restatement leaves out the tombstone': [
    [`${STORE}/restatement.ts`, 'if (state.generation > 0 && ', 'if (state.erased < 0 && '],
  ],
  'whole states leave out the tombstone': [[`${STORE}/taking.ts`, '  draft.erase(item.erased)\n', '']],
  'late edits of what was erased come back': [
    [
      `${STORE}/case-content.ts`,
      'if (generation < this.state.erased || generation < this.state.generation) return false',
      'if (generation < 0) return false',
    ],
  ],
  'a tombstone erases only what is here': [
    [`${STORE}/case-content.ts`, '    this.state.erased = below\n', ''],
  ],

  // ---- whole states
  'a plain resume cursor': [
    [`${STORE}/transfers.ts`, 'this.isResumed || this.isStale ? [] : complete', 'complete'],
    [`${STORE}/transfers.ts`, 'if (this.isResumed && !this.isStale) {', 'if (this.cuts < 0) {'],
  ],
  'a transfer adopts its target without its content': [
    [`${STORE}/transfers.ts`, '        drafts.set(draft.state.caseId, draft)\n', ''],
  ],
  'the claims of the end are adopted, not those of the beginning': [
    [
      `${STORE}/transfers.ts`,
      'await claimWrites(this.replica, claims, this.said, before)\n      const moved',
      'await claimWrites(this.replica, claims, this.said, before)\n' +
        '      const none = { head: new Uint8Array(0), signature: new Uint8Array(0) }\n' +
        '      for (const claim of claims)\n' +
        '        for (const log of this.transfer.target)\n' +
        '          if (log.log === claim.log && claim.seq > log.seq) Object.assign(log, claim, none)\n' +
        '      const moved',
    ],
    [
      `${STORE}/adopting.ts`,
      'const check = await checks.at(target, seq)\n  if (!check)',
      'const check = (await checks.at(target, seq)) ?? target.check\n  if (!check)',
    ],
  ],
  'what a transfer brought beyond its target counts as claimed': [
    [
      `${STORE}/transfers.ts`,
      'const unclaimed = this.beyond || adoption.isShort || this.loose !== replica.loose',
      'const unclaimed = false',
    ],
  ],
  'a transfer by mail counts as whole before its cases are in': [
    [
      `${STORE}/mail-out.ts`,
      'stretches: (await readChecks(this.replica, ranges)).map(stretchToWire) }',
      'last: true, stretches: (await readChecks(this.replica, ranges)).map(stretchToWire) }',
    ],
  ],
  'a target is adopted where its beginning is not held': [
    [`${STORE}/adopting.ts`, 'if (held.seq < target.from) return undefined\n', ''],
    [`${STORE}/mail-sets.ts`, '[...beginnings(proven), ...claims]', 'claims'],
    [`${STORE}/adopting.ts`, 'if (held.seq > 0 && (!its', 'if (held.seq > target.from && (!its'],
  ],
  'a target is adopted on another branch': [
    [`${STORE}/adopting.ts`, 'if (held.seq > 0 && (!its', 'if (held.seq > target.from && (!its'],
  ],

  'what cases hold of another branch counts as claimed': [
    [`${STORE}/foreign.ts`, 'seen.isOther) foreign.add(log)', 'seen.isOther) foreign.delete(log)'],
  ],

  // ---- statements and pruning
  'presence-only statements: who names a log holds all of it': [
    [`${STORE}/pruning.ts`, 'frontier?.get(log.log) ?? 0', 'frontier?.has(log.log) ? log.seq : 0'],
  ],
  'what one other device holds is dropped for all': [
    [`${STORE}/pruning.ts`, 'Math.min(log.seq, ...words)', 'Math.min(log.seq, Math.max(0, ...words))'],
  ],
  'the largest word wins, not the newest': [
    [
      `${STORE}/statements.ts`,
      'const { device, counter, unusable } = row\n',
      'const { device, counter, unusable } = row\n' +
        '    for (const [log, seq] of this.byDevice.get(toHex(device))?.frontier ?? [])\n' +
        '      frontier.set(log, Math.max(seq, frontier.get(log) ?? 0))\n',
    ],
  ],
  'others’ changes wait for their author without end': [
    [
      `${PROTOCOL}/sync-changes.ts`,
      'if ((this.held.get(log) ?? 0) <= held) this.overdue.set(log, this.mine.get(log)?.seq ?? 0)\n',
      '{}\n',
    ],
  ],

  // ---- mail
  'what was left counts as held, whatever the recipient says': [
    [`${PROTOCOL}/mail-ledger.ts`, 'this.lost(recipient, unusable)\n', ''],
    [
      `${PROTOCOL}/mail-ledger.ts`,
      'const live = row.live.filter((mail) => !mail.ids.some((id) => gone.has(toHex(id))))',
      'const live = row.live.filter(() => gone.size >= 0)',
    ],
  ],
  'mail is released on the relay’s word': [
    [
      `${PROTOCOL}/mail-deliveries.ts`,
      'if (recipient === undefined || ids.length === 0) return this.slowDown()\n    this.fresh',
      "if (recipient !== 'nobody' || ids.length === 0) return\n    this.fresh",
    ],
  ],
  'a relay that has gone back is taken for the one it was': [
    [
      `${PROTOCOL}/mail-ledger.ts`,
      'if (equalBytes(this.state.incarnation, incarnation) && sequence >= this.state.sequence) return',
      'if (sequence >= 0) return',
    ],
    [`${PROTOCOL}/mail-deliveries.ts`, "this.out.send({ $case: 'check', value })", ''],
  ],
  'a deposit replaces mail of recipients that it does not name': [
    [
      'relay/store/deposits.ts',
      'release(state.practice, id, mail, isNamed)',
      'release(state.practice, id, mail, () => isNamed !== undefined)',
    ],
    [`${PROTOCOL}/mail-deliveries.ts`, "this.out.send({ $case: 'check', value })", ''],
  ],
  'one recipient’s acknowledgement drops the mail of all': [
    ['relay/store/level-store.ts', '(each) => equalBytes(each, recipient))', '() => true)'],
    [`${PROTOCOL}/mail-deliveries.ts`, "this.out.send({ $case: 'check', value })", ''],
  ],
  'whole states by mail don’t name what their giver can’t read': [
    [`${STORE}/mail-out.ts`, 'missing: last ? this.missing : []', 'missing: []'],
  ],
  'damaged cases that are asked for by mail are given by nobody': [
    [`${PROTOCOL}/mail-answering.ts`, 'if (!asks || connected ||', 'if (!asks || !connected ||'],
  ],
  'what was of no use is not said': [
    [
      `${STORE}/statements.ts`,
      'const known = new Set(this.unusable.map(toHex))',
      'if (ids.length >= 0) return\n    const known = new Set(this.unusable.map(toHex))',
    ],
  ],
  'mail that misses something is thrown away at once': [
    [
      `${NODE}/mail-driver-taking.ts`,
      'for (const mail of tooMuch(waiting, final, unknown)) useless.push(mail.id)',
      'for (const mail of waiting) done.push(mail.id)\n    waiting = []',
    ],
  ],
}

/**
 * Where a rule counts that hardly any other world would notice: the strain, and the first seed.
 *
 * @type {Record<string, { strain: string, from?: number }>}
 */
const WORLDS = {
  'a copy that goes on under keys of its own continues its log': { strain: 'copies' },
  'cuts are not told in words': { strain: 'forksByMail' },
  'forks are not healed by the ladders of words': { strain: 'forksByMail' },
  'who is known further goes on writing its log': { strain: 'apart' },
  'doubts are not kept': { strain: 'forksByMail' },
  'a cut ends all doubts about its log': { strain: 'doubted' },
  'putting a store in order drops its own word': { strain: 'rotOfClaims' },
  'any older copy makes a damaged case whole': { strain: 'rotBehind' },
  'what is let go takes the last of a damaged case with it': { strain: 'rotBehind' },
  'whole states by mail don’t name what their giver can’t read': { strain: 'rotByMail' },
  'damaged cases that are asked for by mail are given by nobody': { strain: 'rotByMail' },
  'a restatement leaves out the tombstone': { strain: 'forks' },
  'the claims of the end are adopted, not those of the beginning': { strain: 'handovers' },
  'a target is adopted where its beginning is not held': { strain: 'putBack' },
  'a target is adopted on another branch': { strain: 'putBack' },
  'what cases hold of another branch counts as claimed': { strain: 'apart', from: 300 },
  'presence-only statements: who names a log holds all of it': { strain: 'none' },
  'mail is released on the relay’s word': { strain: 'forksByMail' },
  'a relay that has gone back is taken for the one it was': { strain: 'forksByMail' },
  'a deposit replaces mail of recipients that it does not name': { strain: 'forksByMail' },
}

/** @type {{ name: string, edits: Edit[], world: { strain?: string, from?: number } }[]} */
export const BUGS = Object.entries(BROKEN).map(([name, edits]) => ({
  name,
  edits: edits.map(([file, from, to]) => ({ file, from, to })),
  world: WORLDS[name] ?? {},
}))
