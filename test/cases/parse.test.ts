import { describe, expect, it } from 'vitest'
import { canonicalJson, parseCase } from '../../src/cases/interchange.js'

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`

describe('parsing a line', () => {
  it.each(['9007199254740992', '123456789012345680000', '0.12345678901234567', '"12345678901234567890\\\\"'])(
    'takes %s, which comes out of an export as it is',
    (value) => {
      const line = `{"a":${value},"id":"x"}`
      const result = parseCase(line)
      expect(result.ok && JSON.parse(canonicalJson(result.value))).toEqual(JSON.parse(line))
    },
  )

  const broken: [string, string][] = [
    ['not JSON', '{"id":'],
    ['empty', ''],
    ['a list', '[]'],
    ['no id', '{}'],
    ['an id only inherited', '{"__proto__":{"id":"x"}}'],
    ['an id that is a number', '{"id":1}'],
    ['an empty id', '{"id":""}'],
    ['a long id', `{"id":"${'x'.repeat(201)}"}`],
    ['half a surrogate pair', '{"id":"x","a":"\\ud800"}'],
    ['half a surrogate pair in a key', '{"id":"x","\\udc00":1}'],
    ['an infinite number', '{"id":"x","a":1e999}'],
    ['a number that would be rounded', '{"id":"x","a":"\\\\","account":12345678901234567890}'],
    ['deep nesting', `{"id":"x","a":${nested(65)}}`],
    ['very deep nesting', `{"id":"x","a":${nested(200_000)}}`],
    ['patient', '{"id":"x","patient":[]}'],
    ['patient.phone', '{"id":"x","patient":{"phone":1}}'],
    ['archived', '{"id":"x","archived":"yes"}'],
    ['tags', '{"id":"x","tags":[1]}'],
    ['consultations', '{"id":"x","consultations":{}}'],
    ['a record', '{"id":"x","prescriptions":[1]}'],
    ['a record without id', '{"id":"x","prescriptions":[{}]}'],
    ['an id twice', '{"id":"x","prescriptions":[{"id":"a"},{"id":"a"}]}'],
    ['symptoms', '{"id":"x","analyses":[{"id":"a","symptoms":[{}]}]}'],
    ['text', '{"id":"x","description":{"text":null}}'],
    ['marks', '{"id":"x","description":{"text":"a","marks":[[0,2,"bold"]]}}'],
    ['backward marks', '{"id":"x","description":{"text":"abc","marks":[[2,1,"bold"]]}}'],
    ['unknown marks', '{"id":"x","description":{"text":"a","marks":[[0,1,"red"]]}}'],
    ['links', '{"id":"x","description":{"text":"a","marks":[[0,1,{"link":1}]]}}'],
    ['blocks', '{"id":"x","description":{"text":"a","blocks":[[1,"h2"]]}}'],
    ['unknown blocks', '{"id":"x","description":{"text":"a","blocks":[[0,"h1"]]}}'],
  ]
  it.each(broken)('refuses %s with one sentence', (_, line) => {
    const result = parseCase(line)
    expect(result).toMatchObject({ ok: false, reason: expect.stringMatching(/^[A-Z"].*\.$/s) })
  })

  it('trims marks off line breaks, joins equal ones, and lets later links win', () => {
    const text = '\\na\\n\\nb c'
    const marks =
      '[[0,3,"bold"],[4,5,"bold"],[5,8,{"link":"x"}],[7,8,{"link":"y"}],[3,3,"italic"],[2,4,"italic"]]'
    const line = `{"id":"x","description":{"text":"${text}","marks":${marks}}}`
    expect(parseCase(line.replace('[7,8,', '[6,7,').replace('[5,8,', '[4,7,'))).toMatchObject({
      value: {
        description: {
          marks: [
            [1, 5, 'bold'],
            [4, 6, { link: 'x' }],
            [6, 7, { link: 'y' }],
          ],
        },
      },
    })
  })

  it('refuses a name that stands twice in one object: JSON would keep the last only', () => {
    for (const line of [
      '{"id":"x","patient":{"note":"one","note":"two"}}',
      '{"id":"x","consultations":[{"id":"a","text":"one: \\":\\\\","te\\u0078t":"two"}]}',
      '{"id":"x","__proto__":1,"__proto__":2}',
    ])
      expect(parseCase(line)).toEqual({
        ok: false,
        reason: 'A field stands twice in it; only one of its values could be kept.',
      })
    const fine = '{"id":"x","a:b":[":",{"__proto__":"\\\\\\":"},{"a":{}}] , "t":"12:30" }'
    expect(parseCase(fine)).toMatchObject({ ok: true })
  })

  it('moves marks out of a character, sorts records by date and id, keeps each tag once', () => {
    const line =
      '{"id":"x","tags":["b","a","b"],"description":{"text":"🌿","marks":[[1,1,"bold"],[1,2,"bold"]]},' +
      '"consultations":[{"id":"b"},{"id":"a","date":"2"},{"id":"a2","date":"1"},{"id":"a1"}]}'
    expect(parseCase(line)).toMatchObject({
      value: {
        tags: ['b', 'a'],
        description: { marks: [[0, 2, 'bold']] },
        consultations: [{ id: 'a1' }, { id: 'b' }, { id: 'a2' }, { id: 'a' }],
      },
    })
  })
})

describe('canonical JSON', () => {
  it('sorts keys by UTF-16 order at every level and keeps __proto__', () => {
    const value = JSON.parse('{"b":{"z":1,"__proto__":[-0]},"\ufb01":1,"🌿":2,"a":"\u2028"}')
    expect(canonicalJson(value)).toBe('{"a":"\u2028","b":{"__proto__":[-0],"z":1},"🌿":2,"\ufb01":1}')
  })
})
