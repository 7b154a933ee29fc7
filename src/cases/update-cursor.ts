/** Reads the primitives of a Yjs V1 update within bounds, building nothing. Throws `Malformed`, only. */

export class Malformed extends Error {}

/** Deepest object or array in a value of an update. Ours are one level deep. */
export const MAX_VALUE_DEPTH = 32

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class UpdateCursor {
  #at = 0

  constructor(private readonly bytes: Uint8Array) {}

  get atEnd(): boolean {
    return this.#at === this.bytes.length
  }

  byte(): number {
    const value = this.bytes[this.#at++]
    if (value === undefined) throw new Malformed('The update ends too early.')
    return value
  }

  uint(): number {
    let value = 0
    let factor = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.byte()
      value += (byte & 0x7f) * factor
      if (value > Number.MAX_SAFE_INTEGER) break
      if (byte < 0x80) return value
      factor *= 128
    }
    throw new Malformed('The update holds a number out of range.')
  }

  skip(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.bytes.length) throw new Malformed('The update ends too early.')
    const slice = this.bytes.subarray(this.#at, end)
    this.#at = end
    return slice
  }

  string(): string {
    const slice = this.skip(this.uint())
    try {
      return decoder.decode(slice)
    } catch {
      throw new Malformed('The update holds a text that is not UTF-8.')
    }
  }

  buffer(): void {
    this.skip(this.uint())
  }

  /** A value written as JSON text; `undefined` is a word of its own in old JSON content. */
  json(undefinedAllowed = false): void {
    const text = this.string()
    if (undefinedAllowed && text === 'undefined') return
    if (nestingOf(text) > MAX_VALUE_DEPTH) throw new Malformed('The update holds a value nested too deep.')
    try {
      JSON.parse(text)
    } catch {
      throw new Malformed('The update holds a value that is not JSON.')
    }
  }

  /** A value in Yjs' own encoding. */
  any(depth = 0): void {
    if (depth > MAX_VALUE_DEPTH) throw new Malformed('The update holds a value nested too deep.')
    const type = this.byte()
    switch (type) {
      case 127: // undefined
      case 126: // null
      case 121: // false
      case 120: // true
        return
      case 125:
        this.#int()
        return
      case 124: // float32
        this.skip(4)
        return
      case 123: // float64
      case 122: // bigint
        this.skip(8)
        return
      case 119:
        this.string()
        return
      case 118: {
        for (let left = this.uint(); left > 0; left--) {
          this.string()
          this.any(depth + 1)
        }
        return
      }
      case 117: {
        for (let left = this.uint(); left > 0; left--) this.any(depth + 1)
        return
      }
      case 116:
        this.buffer()
        return
      default:
        throw new Malformed('The update holds a value of unknown type.')
    }
  }

  #int(): void {
    for (let i = 0; i < 8; i++) if (this.byte() < 0x80) return
    throw new Malformed('The update holds a number out of range.')
  }
}

/** Nesting of JSON text, counted without parsing it. */
function nestingOf(text: string): number {
  let depth = 0
  let deepest = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const unit = text[i]
    if (unit === '"') quoted = !quoted
    else if (quoted) i += unit === '\\' ? 1 : 0
    else if (unit === '[' || unit === '{') deepest = Math.max(deepest, ++depth)
    else if (unit === ']' || unit === '}') depth--
  }
  return deepest
}
