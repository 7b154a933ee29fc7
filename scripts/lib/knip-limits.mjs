// @ts-check
/**
 * Every limit is a named, exported constant with its reason, also where only its own file uses it. This
 * takes those from what knip reports; a constant that nobody uses stays in.
 */
import { readFileSync } from 'node:fs'

const LIMIT = /^[A-Z][A-Z0-9_]+$|(Ms|Bytes|Characters|Lines|Version)$/

/** @type {import('knip').Preprocessor} */
export default function dropLimits(options) {
  for (const symbols of Object.values(options.issues.exports)) {
    for (const [key, { symbol, filePath, symbolType }] of Object.entries(symbols)) {
      if (!LIMIT.test(symbol) || symbolType === 'function' || symbolType === 'class') continue
      const uses = readFileSync(filePath, 'utf8').match(new RegExp(`\\b${symbol}\\b`, 'g')) ?? []
      if (uses.length < 2) continue
      delete symbols[key]
      options.counters.exports -= 1
    }
  }
  return options
}
