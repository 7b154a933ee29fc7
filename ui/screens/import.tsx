/** Import: a file, its progress, and what was skipped and why. */
import { FileButton, Progress } from '@mantine/core'
import { useRef, useState } from 'react'
import type { ImportReport } from '../../src/node/contract.js'
import { batches } from '../lib/lines.js'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { BusyButton } from './busy-button.js'
import { useSurroundings } from './context.js'

/** Reasons shown; the rest is counted. */
const shownErrors = 200

interface Run {
  /** 0–100. */
  progress: number
  report: ImportReport
  finished: boolean
  problem: string | null
}

const nothingYet: ImportReport = { added: 0, merged: 0, unchanged: 0, errors: [] }

export function ImportPanel() {
  const { t, data } = useSurroundings()
  const [run, setRun] = useState<Run | null>(null)
  const forget = useRef<() => void>(null)
  const start = async (file: File | null) => {
    if (!file) return
    let report = nothingYet
    let read = 0
    const show = (finished: boolean, problem: string | null) =>
      setRun({ progress: file.size ? (read / file.size) * 100 : 100, report, finished, problem })
    show(false, null)
    try {
      const bytes = pieces(file, (count) => {
        read += count
      })
      for await (const { lines, notText } of batches(bytes)) {
        const errors = notText.map((line) => ({ line, reason: t('importNotText') }))
        report = sum(report, { ...nothingYet, errors })
        if (lines.length > 0) report = sum(report, await connected(data.link).cases.import({ lines }))
        show(false, null)
      }
      show(true, null)
    } catch (error) {
      show(true, refusalSentence(t, refusalOf(error)))
    }
    data.refreshList()
  }
  const busy = run !== null && !run.finished
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
      {run && <Report run={run} />}
    </div>
  )
}

function Report({ run }: { run: Run }) {
  const { t } = useSurroundings()
  const { added, merged, unchanged, errors } = run.report
  const more = errors.length - shownErrors
  return (
    <div className="stack">
      <p role="status">
        {[
          t.count('importAdded', added),
          ...(merged ? [t.count('importMerged', merged)] : []),
          ...(unchanged ? [t.count('importUnchanged', unchanged)] : []),
          ...(errors.length ? [t.count('importSkipped', errors.length)] : []),
        ].join(' · ')}
      </p>
      {run.problem && (
        <p className="field-error" role="alert">
          {run.problem} {t('importStopped')}
        </p>
      )}
      {run.finished && errors.length > 0 && (
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
    errors: [...a.errors, ...b.errors],
  }
}
