/** Where the case stands: being saved, on this device, on some, on all. */
import type { CaseDoc } from '../editor/case-doc.js'
import { createStore } from '../state/store.js'
import { useStore, useSurroundings } from './context.js'

const nothingTyped = createStore({ loaded: false, unsaved: false, problem: null })

export function SaveState(props: { id: string; caseDoc: CaseDoc | null; heldBy: readonly string[] | null }) {
  const { t, data } = useSurroundings()
  const typing = useStore(data.saver.pending, (cases) => cases.has(props.id))
  const writing = useStore(props.caseDoc?.state ?? nothingTyped, (state) => state.unsaved)
  const open = useStore(data.link.status, (status) => status.kind === 'open')
  const devices = useStore(data.status, (status) => status?.devices)
  const unsaved = typing || writing
  const own = new Set(props.heldBy)
  const held = devices?.filter((device) => device.self || own.has(device.id)).length ?? 1
  const of = devices?.length ?? 1
  const sentence = unsaved
    ? t(open ? 'saving' : 'notSaved')
    : held <= 1
      ? t('savedHere')
      : held < of
        ? t('savedOnSome', { held: t.number(held), of: t.number(of) })
        : t('savedOnAll')
  return (
    <span className="save-state" data-unsaved={unsaved || undefined}>
      {sentence}
    </span>
  )
}
