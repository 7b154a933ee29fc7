/** The consultations as a timeline, newest first; one is open with its notes. */
import { useState } from 'react'
import type { CaseDoc } from '../editor/case-doc.js'
import { type CaseRecord, newestFirst } from '../lib/case-view.js'
import { readableDate, today } from '../lib/dates.js'
import type { Words } from '../words/words.js'
import { useSurroundings } from './context.js'
import { ChoiceField, DateField, useEditedCase } from './fields.js'
import { NotesEditor } from './notes-editor.js'
import { RecordItem, RecordsTop, RemoveRecord, useAddRecord } from './records.js'

export function Consultations({ caseDoc }: { caseDoc: CaseDoc | null }) {
  const { t } = useSurroundings()
  const view = useEditedCase()
  const list = newestFirst(view.consultations)
  const [chosen, setChosen] = useState<string | null | undefined>(undefined)
  const [added, setAdded] = useState<string | null>(null)
  // Without a choice the newest stands open, as a card lies with its last entry on top; that is then the
  // choice, so that one which comes from elsewhere doesn't take its place under the hand of who writes.
  const openId = chosen === undefined ? (list[0]?.id ?? null) : chosen
  if (chosen === undefined && openId !== null) setChosen(openId)
  const add = useAddRecord('consultation', (id) => {
    setChosen(id)
    setAdded(id)
  })
  const kind = view.consultations.length === 0 ? 'first' : 'follow-up'
  return (
    <section className="consultations" aria-labelledby="consultations-title">
      <RecordsTop
        list="consultations"
        addName="addConsultation"
        add={() => void add({ date: today(), kind })}
      />
      {list.length === 0 && <p className="dim empty-section">{t('noConsultations')}</p>}
      <ul className="records">
        {list.map((record) => (
          <RecordItem
            key={record.id}
            open={record.id === openId}
            toggle={() => setChosen(record.id === openId ? null : record.id)}
            title={record.fields.date ? readableDate(record.fields.date, t.language) : t('noDate')}
            detail={record.id === openId ? '' : record.preview || t('emptyNotes')}
            aside={kindWord(t, record.fields.kind ?? '')}
          >
            <OpenConsultation record={record} caseDoc={caseDoc} focus={record.id === added} />
          </RecordItem>
        ))}
      </ul>
    </section>
  )
}

function OpenConsultation(props: { record: CaseRecord; caseDoc: CaseDoc | null; focus: boolean }) {
  const { t } = useSurroundings()
  const view = useEditedCase()
  const { id, fields } = props.record
  const field = (name: string) => ({ field: `consultations.${id}.${name}`, stored: fields[name] ?? '' })
  return (
    <>
      <div className="record-fields">
        <DateField label={t('date')} {...field('date')} />
        <ChoiceField
          label={t('kind')}
          {...field('kind')}
          options={[
            { value: '', label: t('kindNone') },
            { value: 'first', label: t('kindFirst') },
            { value: 'follow-up', label: t('kindFollowUp') },
          ]}
        />
        <RemoveRecord
          list="consultations"
          record={id}
          name="removeConsultation"
          ask="removeConsultationAsk"
        />
      </div>
      {props.caseDoc && (
        <NotesEditor caseDoc={props.caseDoc} consultation={id} readOnly={view.deleted} focus={props.focus} />
      )}
    </>
  )
}

function kindWord(t: Words, stored: string): string {
  if (stored === 'first') return t('kindFirst')
  if (stored === 'follow-up') return t('kindFollowUp')
  return stored
}
