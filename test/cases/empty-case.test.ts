import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { createUpdate } from '../../src/cases/create.js'
import { mergeCase } from '../../src/cases/merge.js'
import { contentText, exportLine, projectRow } from '../../src/cases/project.js'
import { nodeNatives } from '../../src/node/natives.js'

it('a case of nothing but an id exists, is exported as that, and merging the same line changes nothing', () => {
  const update = createUpdate({ id: 'x' }, nodeNatives.sha256)
  expect(update.length).toBeGreaterThan(2)
  const doc = new Y.Doc()
  Y.applyUpdate(doc, update)
  expect(exportLine(doc, 'x')).toBe('{"id":"x"}')
  expect(projectRow(doc, nodeNatives.sha256)).toMatchObject({ name: '', archived: false, deleted: false })
  expect(contentText(doc)).toContain('"content":{}')
  let changed = false
  doc.on('update', () => {
    changed = true
  })
  mergeCase(doc, { id: 'x' }, nodeNatives.sha256)
  expect(changed).toBe(false)
})
