/** Import: a file, what would give way to it, its progress, and what was skipped and why. */
import { Button, FileButton, Progress } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import type { ImportReport } from '../../src/node/contract.js'
import { batches } from '../lib/lines.js'
import { connected, refusalOf } from '../state/client.js'
import { placeName } from '../words/places.js'
import { refusalSentence } from '../words/refusals.js'
import type { Words } from '../words/words.js'
import { BusyButton } from './busy-button.js'
import { useSurroundings } from './context.js'
import { say } from './notes.js'

/** Reasons shown; the rest is counted. */
const shownErrors = 200

interface Run {
  /** It is looked through first; where something would give way to the file, the person is asked. */
  stage: 'looking' | 'asking' | 'importing' | 'done'
  /** 0–100. */
  progress: number
  report: ImportReport
  problem: string | null
}

const nothingYet: ImportReport = { added: 0, merged: 0, unchanged: 0, errors: [] }

export function ImportPanel() {
  const { t, data } = useSurroundings()
  const [run, setRun] = useState<Run | null>(null)
  const [asked, setAsked] = useState<File | null>(null)
  const forget = useRef<() => void>(null)
  const isShown = useRef(false)
  useEffect(() => {
    isShown.current = true
    return () => {
      isShown.current = false
    }
  }, [])
  const go = async (file: File, preview: boolean): Promise<ImportReport> => {
    let report = nothingYet
    let read = 0
    const stage = preview ? 'looking' : 'importing'
    const show = (part: Partial<Run> = {}) => {
      const progress = file.size ? (read / file.size) * 100 : 100
      const next: Run = { stage, progress, report, problem: null, ...part }
      setRun(next)
      // The panel was closed meanwhile: how it ended is said all the same.
      const end = isShown.current ? null : endOf(t, next)
      if (end) say(t, `${t('importTitle')}: ${end}`)
    }
    show()
    try {
      const bytes = pieces(file, (count) => {
        read += count
      })
      for await (const { lines, notText } of batches(bytes)) {
        const errors = notText.map((line) => ({ line, reason: t('importNotText') }))
        report = sum(report, { ...nothingYet, errors })
        if (lines.length > 0)
          report = sum(report, await connected(data.link).cases.import({ lines, preview }))
        show()
      }
      show({ stage: preview ? 'asking' : 'done' })
    } catch (error) {
      const problem = refusalSentence(t, refusalOf(error))
      if (preview) report = nothingYet
      show({ stage: 'done', problem: `${problem} ${t('importStopped')}` })
      throw error
    }
    return report
  }
  const start = async (file: File | null) => {
    if (!file) return
    try {
      const { replaced } = file === asked ? nothingYet : await go(file, true)
      setAsked(replaced ? file : null)
      if (!replaced) await go(file, false)
    } catch {
      // It is shown.
      setAsked(null)
    }
    data.refreshList()
  }
  const busy = run?.stage === 'looking' || run?.stage === 'importing'
  return (
    <div className="stack">
      <p className="dim">{t('importText')}</p>
      <FileButton
        resetRef={forget}
        onChange={(file) => {
          // The same file can be chosen again, once it has been put right.
          forget.current?.()
          void start(file)
        }}
        accept=".jsonl,.json,.ndjson,.txt"
      >
        {(props) => (
          <BusyButton {...props} busy={busy} className="fit">
            {t('chooseFile')}
          </BusyButton>
        )}
      </FileButton>
      {busy && <Progress value={run.progress} aria-label={t('importProgress')} />}
      {asked && run?.stage === 'asking' && (
        <Question report={run.report} yes={() => void start(asked)} no={() => setRun(null)} />
      )}
      {(run?.stage === 'importing' || run?.stage === 'done') && <Report run={run} />}
    </div>
  )
}

/** What is written here and would give way to the file. */
function Question(props: { report: ImportReport; yes: () => void; no: () => void }) {
  const { t, data } = useSurroundings()
  const replaced = props.report.replaced ?? []
  const cases = t.count('importReplaces', new Set(replaced.map(({ id }) => id)).size)
  const more = replaced.length - shownErrors
  const nameOf = (id: string) => data.rows.get()?.find((row) => row.id === id)?.name || id
  return (
    <div className="stack">
      <p role="alert">{cases}</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a long list scrolls with the keyboard */}
      <section className="skipped" tabIndex={0} aria-label={cases}>
        <ul>
          {replaced.slice(0, shownErrors).map(({ line, id, field, was }) => (
            <li key={`${line} ${field} ${was}`}>
              <span className="skipped-line">{nameOf(id)}</span>
              <span>
                {placeName(t, field)}: {was}
              </span>
            </li>
          ))}
        </ul>
        {more > 0 && <p className="dim">{t.count('importMore', more)}</p>}
      </section>
      <div className="step-actions">
        <Button variant="default" onClick={props.no}>
          {t('cancel')}
        </Button>
        <Button onClick={props.yes}>{t('importAnyway')}</Button>
      </div>
    </div>
  )
}

function Report({ run }: { run: Run }) {
  const { t } = useSurroundings()
  const { errors } = run.report
  const more = errors.length - shownErrors
  return (
    <div className="stack">
      <p role="status">{counted(t, run.report)}</p>
      {run.problem && (
        <p className="field-error" role="alert">
          {run.problem}
        </p>
      )}
      {run.stage === 'done' && errors.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long report scrolls with the keyboard
        <section className="skipped" tabIndex={0} aria-label={t.count('importSkipped', errors.length)}>
          <ul>
            {errors.slice(0, shownErrors).map((error) => (
              <li key={error.line}>
                <span className="skipped-line">{t('importLine', { line: t.number(error.line) })}</span>
                <span>{error.reason}</span>
              </li>
            ))}
          </ul>
          {more > 0 && <p className="dim">{t.count('importMore', more)}</p>}
        </section>
      )}
    </div>
  )
}

function counted(t: Words, { added, merged, unchanged, deleted = 0, errors }: ImportReport): string {
  const same = unchanged - deleted
  return [
    t.count('importAdded', added),
    ...(merged ? [t.count('importMerged', merged)] : []),
    ...(same ? [t.count('importUnchanged', same)] : []),
    ...(deleted ? [t.count('importDeleted', deleted)] : []),
    ...(errors.length ? [t.count('importSkipped', errors.length)] : []),
  ].join(' · ')
}

/** How a run ended that nobody sees; null while it goes on. A question that nobody sees ends it. */
function endOf(t: Words, { stage, report, problem }: Run): string | null {
  if (stage === 'asking') return report.replaced ? t('importStopped') : null
  if (stage !== 'done') return null
  return [counted(t, report), problem].filter(Boolean).join('. ')
}

async function* pieces(file: File, took: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    took(value.byteLength)
    yield value
  }
}

function sum(a: ImportReport, b: ImportReport): ImportReport {
  return {
    added: a.added + b.added,
    merged: a.merged + b.merged,
    unchanged: a.unchanged + b.unchanged,
    deleted: (a.deleted ?? 0) + (b.deleted ?? 0),
    errors: [...a.errors, ...b.errors].sort((one, other) => one.line - other.line),
    ...((a.replaced ?? b.replaced) && { replaced: [...(a.replaced ?? []), ...(b.replaced ?? [])] }),
  }
}
