/** Folding for search: case and diacritics don't count, so that "lukasz" finds Łukasz. */

const LETTERS: Readonly<Record<string, string>> = {
  ł: 'l',
  đ: 'd',
  ø: 'o',
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ı: 'i',
}

function fold(text: string): string {
  return text
    .toLowerCase()
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[łđøßæœı]/g, (letter) => LETTERS[letter]!)
}

/** Every word of `match` occurs somewhere in `text`. */
export function matches(text: string, match: string): boolean {
  const folded = fold(text)
  return fold(match)
    .split(/\s+/)
    .every((word) => folded.includes(word))
}
