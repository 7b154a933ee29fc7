/** Odd but valid: kept exactly through import, sync and export on the other device. */
import { expect, it } from 'vitest'
import { exported, kartoteka, ok, startPair, synced, tempFile, tempFolder } from '../support/processes.js'
import { fullCase, plainCase, workloadLines } from '../support/workload.js'

/** Canonical lines in the order of their ids: what comes out is what went in. */
const ODD = [
  '{"__proto__":{"a":1},"constructor":"c","hasOwnProperty":false,"id":"__proto__","patient":{"__proto__":"p","firstName":"__proto__"},"toString":[]}',
  `{"id":"${'z'.repeat(200)}"}`,
  '{"id":"NUL \\u0000 inside","patient":{"lastName":"a\\u0000b"},"tags":["\\u0000",""]}',
  '{"consultations":[{"blocks":[[0,"h2"],[2,"ol"]],"date":"2025-01-01","id":"__proto__","kind":"first","marks":[[0,2,"bold"],[3,5,{"link":"https://example.org/?a=%20&b=\\"c\\""}]],"text":"🌿 שלום\\n\\nمرحبا\\tx\\u0000y"}],"id":"rich 👩🏽‍⚕️ שלום"}',
  '{"consultations":[],"id":"empty ones stay","patient":{"address":"","phone":""},"prescriptions":[],"tags":[]}',
  '{"id":"unknown fields","patient":{"nested":{"deep":[1,-2.5,null,true,{"x":[]}]}},"x-own":{"a":{"b":{"c":"d"}}},"zahl":1e+21}',
  '{"id":"constructor"}',
  '{"id":" leading and trailing "}',
  '{"id":"../../etc/passwd"}',
  '{"id":"line\\nbreak"}',
  '{"createdAt":"not a date","id":"dates as they are","updatedAt":"1800-13-99"}',
  '{"analyses":[{"date":"2025-01-01","id":"a","symptoms":[{"id":"s","rubrics":["Mind; fear","Mind; fear"],"text":""}],"title":"t"}],"id":"analysis"}',
]
const idOf = (line: string) => (JSON.parse(line) as { id: string }).id
const byId = (a: string, b: string) => (idOf(a) < idOf(b) ? -1 : 1)

it('keeps odd ids, names, fields and characters byte for byte', async () => {
  const [desk, laptop] = await startPair()
  const file = tempFile('odd.jsonl', `${ODD.join('\r\n')}\n`)
  expect(await desk.ok('case', 'import', file)).toEqual({
    added: ODD.length,
    merged: 0,
    unchanged: 0,
    errors: [],
  })
  await synced(desk)
  const expected = [...ODD].sort(byId)
  expect((await exported(laptop)).trimEnd().split('\n')).toEqual(expected)
  expect((await exported(desk)).trimEnd().split('\n')).toEqual(expected)
  // Each is reached by its id.
  for (const line of ODD) {
    const id = idOf(line)
    // A process's arguments end at a NUL.
    if (id.includes('\0')) continue
    const shown = await kartoteka(['case', 'show', '--data', laptop.folder, '--json', '--', id])
    expect(`${id}: ${shown.code}`).toBe(`${id}: 0`)
  }
  expect((await desk.ok<{ identical: boolean }>('verify')).identical).toBe(true)
  // Once more changes nothing, there either.
  expect(await laptop.ok('case', 'import', file)).toEqual({
    added: 0,
    merged: 0,
    unchanged: ODD.length,
    errors: [],
  })
  await synced(laptop)
  expect((await exported(desk)).trimEnd().split('\n')).toEqual(expected)
})

it('keeps 10 MB of text exactly on the other device', async () => {
  const [desk, laptop] = await startPair()
  const unit = 'źdźbło 🌿 שלום \u0000 noc. '
  const text = unit.repeat(Math.ceil((10 * 1024 * 1024) / Buffer.byteLength(unit)))
  const line = JSON.stringify({ consultations: [{ date: '2025-01-01', id: 'c0', text }], id: 'long' })
  await desk.ok('case', 'import', tempFile('long.jsonl', line))
  await synced(desk)
  expect((await exported(laptop)) === `${line}\n`).toBe(true)
  await laptop.ok('case', 'type', 'long', '--in', 'c0', '--at', '0', '--text', 'x')
  await synced(laptop)
  expect((await exported(desk)).includes('"text":"xźdźbło')).toBe(true)
  expect((await desk.ok<{ identical: boolean }>('verify')).identical).toBe(true)
})

it('changes nothing when the same file is imported twice, and leaves deleted cases deleted', async () => {
  const [desk, laptop] = await startPair()
  const file = tempFile('cases.jsonl', workloadLines(60, 5, 'full'))
  await desk.ok('case', 'import', file)
  await synced(desk)
  const before = await exported(laptop)
  for (const device of [desk, laptop])
    expect(await device.ok('case', 'import', file)).toEqual({
      added: 0,
      merged: 0,
      unchanged: 60,
      errors: [],
    })
  expect(await desk.ok('sync')).toEqual({ sent: 0, received: 0 })
  expect(await exported(desk)).toBe(before)

  const ids = [0, 1, 2].map((at) => fullCase(at, 5).id)
  await desk.ok('case', 'delete', ...ids)
  await synced(desk)
  for (const device of [laptop, desk]) {
    const report = await device.ok<{ added: number; merged: number; unchanged: number }>(
      'case',
      'import',
      file,
    )
    expect(report).toMatchObject({ added: 0, merged: 0, unchanged: 60 })
    const text = await exported(device)
    for (const id of ids) expect(text).not.toContain(id)
    expect(text.trimEnd().split('\n')).toHaveLength(57)
  }
  // Preview says the same and does nothing.
  const more = tempFile('more.jsonl', workloadLines(2, 9) + JSON.stringify({ id: ids[0], tags: ['new'] }))
  expect(await desk.ok('case', 'import', more, '--preview')).toEqual({
    added: 2,
    merged: 0,
    unchanged: 1,
    deleted: 1,
    errors: [],
  })
  expect(await exported(desk)).not.toContain(plainCase(0, 9).id)
  await desk.ok('case', 'restore', ids[0]!)
  await synced(desk)
  expect(await exported(laptop)).toContain(ids[0])
})

it('merges an import of known ids field by field', async () => {
  const folder = tempFolder()
  await ok(folder, ['practice', 'create', '--name', 'Gabinet', '--device', 'Desk'])
  const first =
    '{"consultations":[{"id":"c","text":"one"}],"id":"k","patient":{"firstName":"Anna","phone":"1"},"tags":["a"]}'
  const second =
    '{"consultations":[{"id":"d","text":"two"}],"id":"k","patient":{"email":"a@b","phone":"2"},"tags":["b"]}'
  await ok(folder, ['case', 'import', tempFile('1.jsonl', first)])
  expect(await ok(folder, ['case', 'import', tempFile('2.jsonl', second)])).toMatchObject({ merged: 1 })
  const shown = await ok<{ consultations: { id: string }[]; patient: unknown; tags: string[] }>(folder, [
    'case',
    'show',
    'k',
  ])
  expect(shown.patient).toEqual({ firstName: 'Anna', email: 'a@b', phone: '2' })
  expect(shown.consultations.map(({ id }) => id).sort()).toEqual(['c', 'd'])
  expect([...shown.tags].sort()).toEqual(['a', 'b'])
})
