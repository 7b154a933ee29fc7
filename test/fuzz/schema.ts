/** Values of every message in our .proto files, made from those files: a new field is fuzzed without a line here. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'

interface FieldOf {
  name: string
  type: string
  isRepeated: boolean
  isOptional: boolean
}
interface MessageOf {
  fields: FieldOf[]
  oneofs: { name: string; fields: FieldOf[] }[]
}
export type Schema = ReadonlyMap<string, MessageOf>

/** Reads the plain proto3 that our files use: messages at the top level, one oneof deep. */
export function readSchema(name: string): Schema {
  const text = readFileSync(new URL(`../../src/${name}`, import.meta.url), 'utf8').replace(/\/\/.*$/gm, '')
  const imports = [...text.matchAll(/import "([^"]+)"/g)].flatMap(([, path]) => [
    ...readSchema(`${name.slice(0, name.lastIndexOf('/'))}/${path!.slice(path!.lastIndexOf('/') + 1)}`),
  ])
  const messages = new Map<string, MessageOf>(imports)
  for (const [, message, body] of text.matchAll(/message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}/g)) {
    const oneofs = [...body!.matchAll(/oneof (\w+) \{([^{}]*)\}/g)].map(([, oneof, inner]) => ({
      name: oneof!,
      fields: fieldsIn(inner!),
    }))
    messages.set(message!, { fields: fieldsIn(body!.replace(/oneof \w+ \{[^{}]*\}/g, '')), oneofs })
  }
  return messages
}

function fieldsIn(text: string): FieldOf[] {
  const found = text.matchAll(/(repeated |optional )?([\w.]+) (\w+) = \d+[^;]*;/g)
  return [...found].map(([, label, type, name]) => ({
    // As the generated codec calls it.
    name: name!.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
    type: type!.slice(type!.lastIndexOf('.') + 1),
    isRepeated: label === 'repeated ',
    isOptional: label === 'optional ',
  }))
}

/** Lengths that mean something to us, and others. */
const BYTES = fc.oneof(
  ...[0, 8, 16, 16, 32, 32, 64].map((length) => fc.uint8Array({ minLength: length, maxLength: length })),
  fc.uint8Array({ maxLength: 80 }),
)
const SCALARS: Record<string, fc.Arbitrary<unknown>> = {
  bytes: BYTES,
  string: fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom('', '__proto__', 'ż😀', 'a'.repeat(200))),
  uint32: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 0xffffffff }), fc.constant(0xffffffff)),
  uint64: fc.oneof(fc.nat({ max: 20 }), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER)),
  bool: fc.boolean(),
}

/** Any value of a message, as the generated codec has it. */
export function valuesOf(schema: Schema, message: string): fc.Arbitrary<unknown> {
  const known = SCALARS[message]
  if (known) return known
  const { fields, oneofs } = schema.get(message)!
  const shape: Record<string, fc.Arbitrary<unknown>> = {}
  for (const { name, type, isRepeated, isOptional } of fields) {
    const value = valuesOf(schema, type)
    shape[name] = isRepeated
      ? fc.array(value, { maxLength: 3 })
      : isOptional
        ? fc.option(value, { nil: undefined })
        : value
  }
  for (const { name, fields: cases } of oneofs)
    shape[name] = fc.oneof(
      ...cases.map(({ name: $case, type }) => valuesOf(schema, type).map((value) => ({ $case, value }))),
    )
  return fc.record(shape)
}

/** Many different encoded messages, always the same ones. */
export function corpusOf<T>(values: fc.Arbitrary<T>, encode: (value: T) => Uint8Array, seed: number) {
  return fc.sample(values, { seed, numRuns: 400 }).map(encode)
}
