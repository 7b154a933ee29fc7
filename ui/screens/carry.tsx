/** Carry by file: changes for other devices leave as one sealed file, and such a file comes in. */
import { FileButton, Progress } from '@mantine/core'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import type { CarryReport } from '../../src/node/contract.js'
import { collect, fileName, sendFile } from '../lib/carry.js'
import { download } from '../lib/download.js'
import { readableSize } from '../lib/sizes.js'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import type { Words } from '../words/words.js'
import { BusyButton } from './busy-button.js'
import { useStore, useSurroundings } from './context.js'

export function CarryPanel() {
  const { t } = useSurroundings()
  return (
    <div className="stack">
      <p className="dim">{t('carryText')}</p>
      <CarryOut />
      <CarryIn />
    </div>
  )
}

interface Running {
  busy: boolean
  /** Bytes so far; 0 to 1 where the whole is known. */
  bytes: number
  part: number | null
  outcome: string | null
  problem: string | null
}

const idle: Running = { busy: false, bytes: 0, part: null, outcome: null, problem: null }

/** One run at a time; it stops when its screen is left. */
function useRun() {
  const { t } = useSurroundings()
  const [state, setState] = useState(idle)
  const stop = useRef<AbortController>(null)
  useEffect(() => () => stop.current?.abort(), [])
  const run = async (
    task: (signal: AbortSignal, show: (part: Partial<Running>) => void) => Promise<Partial<Running>>,
  ) => {
    const controller = new AbortController()
    stop.current = controller
    setState({ ...idle, busy: true })
    const show = (part: Partial<Running>) => setState((before) => ({ ...before, ...part }))
    try {
      const end = await task(controller.signal, show)
      setState({ ...idle, ...end })
    } catch (error) {
      // What was taken in before it went wrong stays: the device says so.
      const problem = refusalSentence(t, refusalOf(error))
      if (!controller.signal.aborted) setState({ ...idle, problem })
    }
  }
  return { state, run }
}

function CarryOut() {
  const { t, data } = useSurroundings()
  const practice = useStore(data.status, (status) => status?.practice?.name ?? '')
  const { state, run } = useRun()
  const start = () =>
    run(async (signal, show) => {
      const pieces = await connected(data.link).carry.out(undefined, { signal })
      const { blob, lacking } = await collect(pieces, (bytes) => show({ bytes }))
      if (blob.size === 0) return { outcome: t('carryOutEmpty') }
      const name = fileName(practice, new Date())
      download(blob, name)
      const names = lacking.map((id) => data.rows.get()?.find((row) => row.id === id)?.name || id).join(', ')
      const outcome = t('carryOutDone', { name, size: readableSize(blob.size, t) })
      return { outcome, problem: names ? t('exportLacks', { names }) : null }
    })
  return (
    <Half title={t('carryOutTitle')} text={t('carryOutText')} state={state}>
      <BusyButton className="fit" busy={state.busy} onClick={() => void start()}>
        {t('carryOut')}
      </BusyButton>
      {state.busy && (
        <p className="dim small" role="status">
          {t('carryOutRunning', { size: readableSize(state.bytes, t) })}
        </p>
      )}
    </Half>
  )
}

function CarryIn() {
  const { t, data } = useSurroundings()
  const { state, run } = useRun()
  const forget = useRef<() => void>(null)
  const start = (file: File | null) => {
    // The same file can be chosen again.
    forget.current?.()
    if (!file) return
    void run(async (signal, show) => {
      try {
        const report = await sendFile(connected(data.link), file, signal, (part) => show({ part }))
        return { outcome: takenSentence(t, report) }
      } finally {
        data.refreshList()
        data.refreshStatus()
      }
    })
  }
  return (
    <Half title={t('carryInTitle')} text={t('carryInText')} state={state}>
      <FileButton resetRef={forget} onChange={start} inputProps={{ 'aria-label': t('carryInTitle') }}>
        {(props) => (
          <BusyButton {...props} className="fit" variant="default" busy={state.busy}>
            {t('chooseFile')}
          </BusyButton>
        )}
      </FileButton>
      {state.busy && <Progress value={(state.part ?? 0) * 100} aria-label={t('carryInProgress')} />}
    </Half>
  )
}

function Half(props: { title: string; text: string; state: Running; children: ReactNode }) {
  const { outcome, problem } = props.state
  return (
    <section className="carry-half" aria-label={props.title}>
      <div>
        <h3 className="section-title">{props.title}</h3>
        <p className="dim small">{props.text}</p>
      </div>
      {props.children}
      <p className="small carry-outcome" role="status">
        {outcome}
      </p>
      {problem && (
        <p className="field-error" role="alert">
          {problem}
        </p>
      )}
    </section>
  )
}

function takenSentence(t: Words, { envelopes, received }: CarryReport): string {
  if (received > 0) return t.count('carryInDone', received)
  return t(envelopes > 0 ? 'carryInKnown' : 'carryInNothing')
}
