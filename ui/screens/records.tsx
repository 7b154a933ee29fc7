/** A list of records of which one is open at a time; adding and removing are the same for all lists. */
import { Button } from '@mantine/core'
import { type ReactNode, useState } from 'react'
import { connected } from '../state/client.js'
import type { PlainKey } from '../words/words.js'
import { useSurroundings } from './context.js'
import { useEditedCase } from './fields.js'
import { firstClick } from './first-click.js'
import { ChevronIcon, PlusIcon, TrashIcon } from './icons.js'
import { sayRefusal } from './notes.js'
import { useFocusAlong } from './use-focus-along.js'

interface RecordItemProps {
  open: boolean
  toggle: () => void
  title: ReactNode
  detail: ReactNode
  aside: ReactNode
  children: ReactNode
}

export function RecordItem(props: RecordItemProps) {
  return (
    <li className="record" data-open={props.open || undefined}>
      <button type="button" className="record-head" aria-expanded={props.open} onClick={props.toggle}>
        <ChevronIcon />
        <span className="record-title">{props.title}</span>
        <span className="record-detail dim">{props.detail}</span>
        <span className="record-aside dim">{props.aside}</span>
      </button>
      {props.open && <div className="record-body">{props.children}</div>}
    </li>
  )
}

type List = 'consultations' | 'prescriptions'

/** The list's title, which names its section, and the way to add to it. */
export function RecordsTop(props: { list: List; addName: PlainKey; add: () => void }) {
  const { t } = useSurroundings()
  const view = useEditedCase()
  return (
    <div className="section-top">
      <h3 id={`${props.list}-title`} className="section-title" tabIndex={-1}>
        {t(props.list)}
      </h3>
      <Button
        size="compact-sm"
        variant="light"
        leftSection={<PlusIcon />}
        disabled={view.deleted}
        onClick={firstClick(props.add)}
      >
        {t(props.addName)}
      </Button>
    </div>
  )
}

/** Adds a record and opens it. */
export function useAddRecord(kind: 'consultation' | 'prescription', opened: (id: string) => void) {
  const { t, data } = useSurroundings()
  const view = useEditedCase()
  return async (json: Record<string, string>) => {
    try {
      const { id } = await connected(data.link).cases.add({ id: view.id, kind, json: JSON.stringify(json) })
      opened(id)
      data.refreshCase()
    } catch (error) {
      sayRefusal(t, error)
    }
  }
}

export function RemoveRecord(props: { list: List; record: string; name: PlainKey; ask: PlainKey }) {
  const { t, data } = useSurroundings()
  const view = useEditedCase()
  const [asking, setAsking] = useState(false)
  const place = useFocusAlong<HTMLSpanElement>(asking)
  const remove = async () => {
    try {
      await connected(data.link).cases.remove({ id: view.id, list: props.list, record: props.record })
      document.getElementById(`${props.list}-title`)?.focus()
      data.refreshCase()
    } catch (error) {
      sayRefusal(t, error)
    }
  }
  if (view.deleted) return null
  return (
    <span className="ask" ref={place} {...(asking && { role: 'group', 'aria-label': t(props.ask) })}>
      {asking ? (
        <>
          {t(props.ask)}
          <Button size="compact-sm" variant="light" onClick={() => void remove()}>
            {t('removeYes')}
          </Button>
          <Button
            size="compact-sm"
            variant="subtle"
            color="gray"
            data-autofocus
            onClick={() => setAsking(false)}
          >
            {t('cancel')}
          </Button>
        </>
      ) : (
        <button
          type="button"
          className="icon-button"
          aria-label={t(props.name)}
          title={t(props.name)}
          onClick={() => setAsking(true)}
        >
          <TrashIcon />
        </button>
      )}
    </span>
  )
}
