/** Archive, unarchive, delete: each at once, with a way back instead of a question. */
import { Button } from '@mantine/core'
import type { CaseView } from '../lib/case-view.js'
import { type Client, connected } from '../state/client.js'
import type { PlainKey } from '../words/words.js'
import { useSurroundings } from './context.js'
import { ArchiveIcon, TrashIcon } from './icons.js'
import { say, sayRefusal } from './notes.js'

type Action = (client: Client, ids: { ids: string[] }) => Promise<unknown>
const archive: Action = (client, ids) => client.cases.archive(ids)
const unarchive: Action = (client, ids) => client.cases.unarchive(ids)
const remove: Action = (client, ids) => client.cases.delete(ids)
const restore: Action = (client, ids) => client.cases.restore(ids)

export function CaseActions({ view }: { view: CaseView }) {
  const { t, data } = useSurroundings()
  const perform = async (action: Action) => {
    await data.saver.flush(view.id)
    await action(connected(data.link), { ids: [view.id] })
    data.refreshCase()
    data.refreshList()
  }
  const run = async (action: Action, done: PlainKey, undo: Action) => {
    try {
      await perform(action)
    } catch (error) {
      return sayRefusal(t, error)
    }
    const takeBack = () => void perform(undo).catch((error: unknown) => sayRefusal(t, error))
    say(
      t,
      <span className="note-line">
        {t(done)}
        <Button size="compact-sm" variant="subtle" onClick={takeBack}>
          {t('undo')}
        </Button>
      </span>,
      'case-action',
    )
  }
  if (view.deleted) return null
  return (
    <div className="case-actions">
      {view.archived ? (
        <Button
          variant="default"
          leftSection={<ArchiveIcon />}
          onClick={() => void run(unarchive, 'unarchivedNote', archive)}
        >
          {t('unarchive')}
        </Button>
      ) : (
        <Button
          variant="subtle"
          color="gray"
          leftSection={<ArchiveIcon />}
          onClick={() => void run(archive, 'archivedNote', unarchive)}
        >
          {t('archive')}
        </Button>
      )}
      <Button
        variant="subtle"
        color="gray"
        leftSection={<TrashIcon />}
        onClick={() => {
          // The button goes with the deletion, and the focus would go with it.
          document.getElementById('case-title')?.focus()
          void run(remove, 'deletedNote', restore)
        }}
      >
        {t('delete')}
      </Button>
    </div>
  )
}
