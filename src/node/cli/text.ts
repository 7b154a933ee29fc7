/** Text for people in a terminal. What cases and devices are called comes from elsewhere: it is made harmless. */

/** Without control characters, which a terminal would obey; line breaks and tabs stay if `lines`. */
export function printable(text: string, lines = false): string {
  const kept = lines ? text.replaceAll('\r\n', '\n') : text.replace(/[\r\n\t]+/g, ' ')
  return kept.replace(
    lines ? /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g : /[\u0000-\u001f\u007f-\u009f]/g,
    '',
  )
}

/** Columns as wide as their widest cell, up to a limit; empty cells at the end leave no blanks. */
export function table(rows: string[][], limit = 40): string {
  const shown = rows.map((row) => row.map((cell) => printable(cell)))
  const widths: number[] = []
  for (const row of shown)
    row.forEach((cell, column) => {
      widths[column] = Math.min(limit, Math.max(widths[column] ?? 0, cell.length))
    })
  return shown
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Local date and time to the minute. */
export function moment(at: number | null): string {
  if (at === null) return 'never'
  const date = new Date(at)
  const two = (number: number) => String(number).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** How long something has lasted, in its largest unit. */
export function duration(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 1) return 'less than a minute'
  if (minutes < 120) return count(minutes, 'minute')
  if (minutes < 48 * 60) return count(Math.floor(minutes / 60), 'hour')
  return count(Math.floor(minutes / (24 * 60)), 'day')
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}

export function bytes(number: number): string {
  if (number < 1000) return `${number} bytes`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = number / 1000
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value.toFixed(1)} ${units[unit]}`
}
