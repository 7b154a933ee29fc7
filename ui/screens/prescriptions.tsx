/** What was prescribed, newest first. */
import { useState } from 'react'
import { newestFirst } from '../lib/case-view.js'
import { readableDate, today } from '../lib/dates.js'
import { useSurroundings } from './context.js'
import { DateField, TextField, useEditedCase } from './fields.js'
import { RecordItem, RecordsTop, RemoveRecord, useAddRecord } from './records.js'

export function Prescriptions() {
  const { t } = useSurroundings()
  const view = useEditedCase()
  const [openId, setOpenId] = useState<string | null>(null)
  const add = useAddRecord('prescription', setOpenId)
  return (
    <section className="prescriptions" aria-labelledby="prescriptions-title">
      <RecordsTop list="prescriptions" addName="addPrescription" add={() => void add({ date: today() })} />
      {view.prescriptions.length === 0 && <p className="dim empty-section">{t('noPrescriptions')}</p>}
      <ul className="records">
        {newestFirst(view.prescriptions).map(({ id, fields }) => {
          const field = (name: string) => ({
            field: `prescriptions.${id}.${name}`,
            stored: fields[name] ?? '',
          })
          return (
            <RecordItem
              key={id}
              open={id === openId}
              toggle={() => setOpenId(id === openId ? null : id)}
              title={[fields.remedy, fields.potency].filter(Boolean).join(' ') || t('noRemedy')}
              detail={fields.dose ?? ''}
              aside={fields.date ? readableDate(fields.date, t.language) : t('noDate')}
            >
              <div className="record-fields prescription-fields">
                <TextField className="grow" label={t('remedy')} {...field('remedy')} />
                <TextField label={t('potency')} {...field('potency')} />
                <TextField label={t('dose')} {...field('dose')} />
                <DateField label={t('date')} {...field('date')} />
                <TextField className="grow" label={t('note')} {...field('note')} />
                <RemoveRecord
                  list="prescriptions"
                  record={id}
                  name="removePrescription"
                  ask="removePrescriptionAsk"
                />
              </div>
            </RecordItem>
          )
        })}
      </ul>
    </section>
  )
}
