/** Dates as cases store them (1980-05-24, also 1980 or 1980-05), and as a person reads or types them. */
import type { Words } from '../words/words.js'

/** The stored form of what was typed, '' for nothing, null if it isn't a date (yet). */
export function parseDate(typed: string): string | null {
  const text = typed.trim()
  if (text === '') return ''
  const iso = /^(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?$/.exec(text)
  if (iso) return compose(iso[1], iso[2], iso[3])
  const european = /^(\d{1,2})(?:\. ?|[/ -])(\d{1,2})(?:\. ?|[/ -])(\d{4})(?: ?r\.?)?$/.exec(text)
  if (european) return compose(european[3], european[2], european[1])
  return null
}

/** True if nothing that may yet be typed makes another date of it. `date` is what `parseDate` gives. */
export function isWholeDate(typed: string, date: string): boolean {
  return date === '' || (date.length === 10 && (date === typed || /\d{4}$/.test(typed.trim())))
}

function compose(
  year: string | undefined,
  month: string | undefined,
  day: string | undefined,
): string | null {
  if (!year) return null
  if (!month) return year
  const m = Number(month)
  if (m < 1 || m > 12) return null
  const stored = `${year}-${String(m).padStart(2, '0')}`
  if (!day) return stored
  const d = Number(day)
  if (d < 1 || d > new Date(Date.UTC(Number(year), m, 0)).getUTCDate()) return null
  return `${stored}-${String(d).padStart(2, '0')}`
}

/** Year, month and day; null for what isn't a whole date, or none that there is, as an imported 31 February. */
function wholeDate(stored: string): RegExpExecArray | null {
  const parts = /^(\d{4})-(\d{2})-(\d{2})$/.exec(stored)
  return parts && compose(parts[1], parts[2], parts[3]) === stored ? parts : null
}

export function today(now = new Date()): string {
  return `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, '0')}-${String(now.getDate()).padStart(2, '0')}`
}

const formats = new Map<string, Intl.DateTimeFormat>()
function format(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = language + JSON.stringify(options)
  let made = formats.get(key)
  if (!made) {
    made = new Intl.DateTimeFormat(language === 'en' ? 'en-GB' : language, options)
    formats.set(key, made)
  }
  return made
}

/** "24 May 1980"; whatever isn't a full date is shown as it is stored. */
export function readableDate(stored: string, language: string): string {
  const parts = wholeDate(stored)
  if (!parts) return stored
  const date = new Date(Date.UTC(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3])))
  return format(language, { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' }).format(date)
}

/** Full years from a birth date to now; null if the date is not a full one. */
export function ageInYears(birthDate: string, now: Date): number | null {
  const parts = wholeDate(birthDate)
  if (!parts) return null
  const years = now.getFullYear() - Number(parts[1])
  const before =
    now.getMonth() + 1 < Number(parts[2]) ||
    (now.getMonth() + 1 === Number(parts[2]) && now.getDate() < Number(parts[3]))
  const age = before ? years - 1 : years
  return age >= 0 && age < 150 ? age : null
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** "just now", "5 minutes ago", or the date. */
export function timeAgo(at: number, now: number, t: Words): string {
  const passed = Math.max(0, now - at)
  if (passed < minuteMs) return t('justNow')
  if (passed < hourMs) return t.count('minutesAgo', Math.floor(passed / minuteMs))
  if (passed < dayMs) return t.count('hoursAgo', Math.floor(passed / hourMs))
  if (passed < 14 * dayMs) return t.count('daysAgo', Math.floor(passed / dayMs))
  return format(t.language, { day: 'numeric', month: 'short', year: 'numeric' }).format(new Date(at))
}

/** How old something is: "3 days". */
export function age(ms: number, t: Words): string {
  if (ms < minuteMs) return t('ageMoment')
  if (ms < hourMs) return t.count('ageMinutes', Math.floor(ms / minuteMs))
  if (ms < dayMs) return t.count('ageHours', Math.floor(ms / hourMs))
  return t.count('ageDays', Math.floor(ms / dayMs))
}

/** The time of the day, with the day before it unless that is today. */
export function moment(at: number, now: number, t: Words): string {
  const isToday = today(new Date(at)) === today(new Date(now))
  const time = { hour: '2-digit', minute: '2-digit' } as const
  return format(t.language, isToday ? time : { day: 'numeric', month: 'short', ...time }).format(new Date(at))
}

/** "9 minutes" or "40 seconds", for a countdown. */
export function remaining(ms: number, t: Words): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  return seconds >= 60 ? t.count('minutes', Math.ceil(seconds / 60)) : t.count('seconds', seconds)
}
