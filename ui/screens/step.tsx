/** One step of a short path: one question, its field, and the way on. */
import { type FormEvent, type ReactNode, useEffect, useId, useRef } from 'react'
import { BusyButton } from './busy-button.js'
import { useWords } from './context.js'
import { BackIcon } from './icons.js'

export interface StepProps {
  step: number
  of: number
  question: string
  text?: string
  /** The button that goes on: Next, Create or Join. */
  action: string
  other?: ReactNode
  busy?: boolean
  busyText?: string
  /** Stands in a panel, below its title; else it is a sheet of its own. */
  inside?: boolean
  children: ReactNode
  back: () => void
  go: () => void
}

export function Step(props: StepProps) {
  const t = useWords()
  const titleId = useId()
  const Title = props.inside ? 'h3' : 'h1'
  const form = useRef<HTMLFormElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new step begins in its first field
  useEffect(() => {
    form.current?.querySelector('input')?.focus()
  }, [props.step])
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (!props.busy) props.go()
  }
  return (
    <form
      ref={form}
      className={props.inside ? 'step-inside' : 'sheet'}
      onSubmit={submit}
      noValidate
      aria-labelledby={titleId}
    >
      <div className="step-top">
        <button type="button" className="icon-button" aria-label={t('back')} onClick={props.back}>
          <BackIcon />
        </button>
        {props.of > 1 && (
          <span className="dim step-count">{t('stepOf', { step: props.step, of: props.of })}</span>
        )}
      </div>
      <Title id={titleId} className={props.inside ? 'step-title' : 'sheet-title'}>
        {props.question}
      </Title>
      {props.text && <p className="dim">{props.text}</p>}
      <div className="step-fields">{props.children}</div>
      <div className="step-actions">
        {props.other}
        <BusyButton type="submit" busy={props.busy ?? false}>
          {props.action}
        </BusyButton>
      </div>
      <p className="dim step-status" role="status">
        {props.busy ? props.busyText : ''}
      </p>
    </form>
  )
}
