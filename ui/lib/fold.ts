/** Names compared as a person types them: no case, no diacritics, nothing invisible ("lukasz" finds Łukasz). */

/** Letters that Unicode doesn't decompose into a base letter and a mark. */
const undecomposed: Readonly<Record<string, string>> = {
  ł: 'l',
  đ: 'd',
  ø: 'o',
  ħ: 'h',
  ŧ: 't',
  ı: 'i',
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  þ: 'th',
  ð: 'd',
}

export function fold(text: string): string {
  return text
    .toLowerCase()
    .normalize('NFD')
    .replace(/[\p{Mn}\p{Cf}]+/gu, '')
    .replace(/[łđøħŧıßæœþð]/g, (letter) => undecomposed[letter] ?? letter)
}

/** True if every word typed is part of the (folded) text. */
export function matches(foldedText: string, words: readonly string[]): boolean {
  return words.every((word) => foldedText.includes(word))
}

export function wordsOf(query: string): string[] {
  return fold(query).split(/\s+/).filter(Boolean)
}
