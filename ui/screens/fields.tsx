/** The fields of a case: saved as one types, with the other device's value one click away. */
import { Button, NativeSelect, TextInput } from '@mantine/core'
import {
  createContext,
  type ReactNode,
  type Ref,
  useContext,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from 'react'
import { type CaseView, type Conflict, type Json, readableValue } from '../lib/case-view.js'
import { isWholeDate, parseDate } from '../lib/dates.js'
import { connected } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { useStore, useSurroundings } from './context.js'
import { say, sayRefusal } from './notes.js'

const Edited = createContext<CaseView | null>(null)

/** The case that the fields inside belong to. */
export function EditedCase({ view, children }: { view: CaseView; children: ReactNode }) {
  return <Edited value={view}>{children}</Edited>
}

export function useEditedCase(): CaseView {
  const view = useContext(Edited)
  if (!view) throw new Error('A field stands outside of a case.')
  return view
}

export interface FieldProps {
  /** Dotted path, as `cases.set` takes it. */
  field: string
  label: string
  stored: string
  ref?: Ref<HTMLInputElement>
  /** The keys that a touch screen offers. The field stays a plain one: of type `email` it would change what is typed. */
  keys?: 'tel' | 'email'
  className?: string
}

/** What is shown and how it is saved: typed and unconfirmed first, else as stored. */
function useField(field: string, stored: string) {
  const { t, data } = useSurroundings()
  const view = useEditedCase()
  const typed = useStore(data.saver.pending, (cases) => cases.get(view.id)?.values.get(field))
  const problem = useStore(data.saver.pending, (cases) =>
    cases.get(view.id)?.values.has(field) ? cases.get(view.id)?.problem : null,
  )
  return {
    value: typed ?? stored,
    readOnly: view.deleted,
    error: problem ? refusalSentence(t, problem) : null,
    type: (value: string) => data.saver.type(view.id, field, value, stored),
    save: () => void data.saver.flush(view.id),
  }
}

export function TextField({ field, label, stored, ref, keys, className }: FieldProps) {
  const { value, readOnly, error, ...edit } = useField(field, stored)
  return (
    <div className={className}>
      <TextInput
        ref={ref}
        label={label}
        inputMode={keys ?? 'text'}
        // A field of one line would leave out line breaks, as of an imported address, and join two words.
        value={value.replace(/\r\n?|\n/g, ' ')}
        readOnly={readOnly}
        error={error}
        onChange={(event) => edit.type(event.currentTarget.value)}
        onBlur={edit.save}
        autoComplete="off"
        spellCheck={false}
      />
      <OtherValue field={field} />
    </div>
  )
}

/** A whole date is saved as it is typed, a part of one on leaving the field or the window. */
export function DateField({ field, label, stored, className }: FieldProps) {
  const { t } = useSurroundings()
  const { value, readOnly, error, ...edit } = useField(field, stored)
  const [draft, setDraft] = useState<string | null>(null)
  const [left, setLeft] = useState(false)
  const change = (typed: string) => {
    setDraft(typed)
    setLeft(false)
    const date = parseDate(typed)
    if (date !== null && isWholeDate(typed, date)) edit.type(date)
  }
  const leave = () => {
    const date = draft === null ? null : parseDate(draft)
    if (date !== null) {
      if (date !== value) edit.type(date)
      setDraft(null)
    }
    setLeft(true)
    edit.save()
  }
  const lost = draft !== null && parseDate(draft) === null ? draft : null
  const gone = useRef(() => {})
  useLayoutEffect(() => {
    gone.current = () => {
      if (lost !== null) say(t, t('dateLost', { text: lost }))
    }
  })
  useEffect(() => () => gone.current(), [])
  const wrong = draft !== null && lost !== null && (left || draft.length >= 10)
  return (
    <div className={className}>
      <TextInput
        label={label}
        value={draft ?? value}
        placeholder="1980-05-24"
        readOnly={readOnly}
        error={error ?? (wrong ? t('dateHint') : null)}
        onChange={(event) => change(event.currentTarget.value)}
        onBlur={leave}
        onKeyDown={(event) => {
          if (event.key === 'Enter') leave()
        }}
        inputMode="numeric"
        autoComplete="off"
        spellCheck={false}
      />
      <OtherValue field={field} />
    </div>
  )
}

export interface ChoiceFieldProps extends FieldProps {
  options: readonly { value: string; label: string }[]
  /** Takes a choice that isn't a value; true if it did. */
  special?: (value: string) => boolean
}

export function ChoiceField({ field, label, stored, className, options, special }: ChoiceFieldProps) {
  const { value, readOnly, error, ...edit } = useField(field, stored)
  const known = options.some((option) => option.value === value)
  return (
    <div className={className}>
      <NativeSelect
        label={label}
        value={value}
        disabled={readOnly}
        error={error}
        data={known ? [...options] : [{ value, label: value }, ...options]}
        onChange={(event) => {
          const chosen = event.currentTarget.value
          if (special?.(chosen)) return
          edit.type(chosen)
          edit.save()
        }}
      />
      <OtherValue field={field} options={options} />
    </div>
  )
}

const noOptions: ChoiceFieldProps['options'] = []

/** "Other value": what another device wrote at the same time. One click takes it, one keeps this. */
function OtherValue({
  field,
  options = noOptions,
}: {
  field: string
  options?: ChoiceFieldProps['options']
}) {
  const view = useEditedCase()
  const conflict = view.conflicts.find((one) => one.field === field)
  return conflict ? <ConflictLine conflict={conflict} options={options} /> : null
}

function ConflictLine({ conflict, options }: { conflict: Conflict; options: ChoiceFieldProps['options'] }) {
  const { t, data } = useSurroundings()
  const view = useEditedCase()
  const choose = async (value: Json) => {
    try {
      await connected(data.link).cases.choose({
        id: view.id,
        field: conflict.field,
        json: JSON.stringify(value),
      })
      data.refreshCase()
      data.refreshList()
    } catch (error) {
      sayRefusal(t, error)
    }
  }
  return (
    <p className="other-value">
      <span className="other-value-word">{t('otherValue')}</span>
      {conflict.others.map((other) => {
        const label = options.find((option) => option.value === other)?.label
        const text = label || readableValue(other) || t('otherValueEmpty')
        return (
          <Button
            key={JSON.stringify(other)}
            size="compact-xs"
            variant="light"
            className="other-value-choice"
            onClick={() => void choose(other)}
          >
            {t('useOther', { value: text })}
          </Button>
        )
      })}
      <Button size="compact-xs" variant="subtle" color="gray" onClick={() => void choose(conflict.value)}>
        {t('keepThis')}
      </Button>
    </p>
  )
}

/** Conflicts of what this screen has no field for: nothing is hidden. */
export function OtherConflicts() {
  const view = useEditedCase()
  const shown =
    /^(patient\.(firstName|lastName|birthDate|sex|phone|email|address)|drawer)$|^(consultations|prescriptions)\..+\.(date|kind|remedy|potency|dose|note)$/
  const hidden = view.conflicts.filter((conflict) => !shown.test(conflict.field))
  if (hidden.length === 0) return null
  return (
    <section className="card">
      {hidden.map((conflict) => (
        <div key={conflict.field} className="hidden-conflict">
          <span className="dim">{conflict.field}: </span>
          {readableValue(conflict.value)}
          <ConflictLine conflict={conflict} options={noOptions} />
        </div>
      ))}
    </section>
  )
}
