/** Taking mail in: each envelope by the one door, as often as it may fit; then a flush, and my own word over all of it. */
import type { MailEffect, Taken } from '../protocol/mail-types.js'
import type { Mail } from '../protocol/mailbox.gen.js'
import type { GivenAnswer, MailAsking } from './mail-asking.js'
import type { MailDriverOptions, RelaySession } from './mail-driver-session.js'
import type { MailWords } from './mail-driver-words.js'
import type { MailOffice } from './mail-office.js'

/** Mail that something is missing for is held in memory up to here: a case of the largest size, in pieces. */
const HELD_BYTES = 160 * 1024 * 1024

export class MailTaking {
  constructor(
    private readonly options: MailDriverOptions,
    private readonly office: MailOffice,
    private readonly words: MailWords,
    private readonly asking: MailAsking,
  ) {}

  async take(session: RelaySession, effect: Extract<MailEffect, { type: 'take' }>): Promise<Taken> {
    const { replica, statements, driver, roster } = this.options
    // Without it no word can be sealed, and nothing acknowledged: it is given by a later entry of the roster.
    if (!roster.newestKeys()) throw new Error(KEY_MISSING)
    const { mails, held, final } = effect
    const { isWithholding } = session
    const { loose, cases } = replica
    const { mended } = cases
    // [L2] What the relay can't show the roster of counts in the end as a letter of its sender.
    const sorting = new Sorting(this.office, final && isWithholding)
    let waiting = await sorting.admit(mails.length > 0 ? mails : held)
    if (mails.length > 0) waiting = [...held, ...waiting]
    // What came first in the mailbox may build on what comes later: as long as something fits, more may.
    while (sorting.isFruitful && waiting.length > 0) waiting = await sorting.admit(waiting)
    const { done, useless, unknown, advanced, changes } = sorting
    for (const mail of tooMuch(waiting, final, unknown)) useless.push(mail.id)
    const dropped = new Set(useless)
    waiting = waiting.filter(({ id }) => !dropped.has(id))
    driver.receivedChanges += changes
    if (advanced || loose !== replica.loose) session.patience.renew()
    for (const answer of sorting.answers) await this.asking.answered(answer.sender, answer)
    session.noteWithheld(unknown.size > 0 || (isWithholding && (final || done.length === 0)))
    await replica.flush()
    statements.noteUnusable(useless)
    const word = await this.words.own(session)
    if (!word) throw new Error(KEY_MISSING)
    // What is whole here now others may have waited for.
    driver.tookMail(advanced || mended !== cases.mended)
    driver.tellStatements()
    return { done: [...done, ...useless], held: waiting, word }
  }
}

const KEY_MISSING = 'the key of the newest epoch is missing'

/** What became of each mail, over all rounds. */
class Sorting {
  readonly done: Uint8Array[] = []
  readonly useless: Uint8Array[] = []
  /** Written under a roster that isn't known here. */
  readonly unknown = new Set<Mail>()
  readonly answers: GivenAnswer[] = []
  /** Something is held that was not before. */
  advanced = false
  changes = 0
  /** The last round brought something: what waits may fit behind it. */
  isFruitful = false

  constructor(
    private readonly office: MailOffice,
    private readonly anyHead: boolean,
  ) {}

  /** Lets in what fits. Returns what still misses something. */
  async admit(mails: Mail[]): Promise<Mail[]> {
    const envelopes = mails.map(({ envelope }) => envelope)
    const admissions = await this.office.admitEach(envelopes, this.anyHead)
    const waiting: Mail[] = []
    this.isFruitful = false
    for (const [at, mail] of mails.entries()) {
      const admission = admissions[at]!
      const hasAdvanced = 'advanced' in admission && admission.advanced.length > 0
      if (hasAdvanced) {
        this.advanced = true
        this.changes += admission.changes
      }
      if (admission.kind === 'taken') {
        this.done.push(mail.id)
        if (admission.answer) this.answers.push(admission.answer)
      }
      if (admission.kind === 'useless') this.useless.push(mail.id)
      else if (admission.kind !== 'taken') waiting.push(mail)
      if (admission.kind === 'taken' || hasAdvanced) this.isFruitful = true
      if (admission.kind === 'unknown') this.unknown.add(mail)
      else this.unknown.delete(mail)
    }
    return waiting
  }
}

/** What waits for something, and can't wait any longer: at the end all of it, else the oldest beyond a bound. */
function tooMuch(waiting: readonly Mail[], final: boolean, unknown: ReadonlySet<Mail>): Mail[] {
  let bytes = waiting.reduce((sum, { envelope }) => sum + envelope.length, 0)
  return waiting.filter((mail) => {
    if (!(final && !unknown.has(mail)) && bytes <= HELD_BYTES) return false
    bytes -= mail.envelope.length
    return true
  })
}
