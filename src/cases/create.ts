/** New cases from interchange JSON, the same bytes on every device. */
import * as Y from 'yjs'
import type { CaseJson, Sha256 } from './json.js'
import { ROOTS } from './schema.js'
import { CaseView } from './view.js'
import { CaseWriter, derivedClient } from './write.js'

/**
 * The Yjs update (V1) of a new case. `json` is checked interchange (`parseCase`, `checkCase`).
 *
 * The bytes depend on the content alone: the client ids are hashes of it. So the same line imported on two devices
 * is the same set of Yjs operations, and merging them doubles nothing.
 */
export function createUpdate(json: CaseJson, sha256: Sha256): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = derivedClient(sha256, 'case', json)
  doc.transact(() => new CaseWriter(new CaseView(doc), sha256).case(json))
  // A case of nothing but an id is a case too: something must say that it is there.
  if (doc.store.clients.size === 0) doc.getMap(ROOTS.lifecycle).set(`made#${doc.clientID.toString(36)}`, true)
  const update = Y.encodeStateAsUpdate(doc)
  doc.destroy()
  return update
}
