/** Hands a file over to the browser's downloads. */

/** The browser has taken the file over by then. */
const keptMs = 60_000

export function download(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob)
  const anchor = document.createElement('a')
  anchor.href = address
  anchor.download = name
  anchor.click()
  setTimeout(() => URL.revokeObjectURL(address), keptMs)
}

/** The practice's name as a part of a file name. */
export function safeName(practice: string): string {
  return practice.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '') || 'kartoteka'
}
