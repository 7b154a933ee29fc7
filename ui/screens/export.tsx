/** Export: every case as a canonical line, handed over as one file. */
import { Button } from '@mantine/core'
import { useState } from 'react'
import { today } from '../lib/dates.js'
import { download, safeName } from '../lib/download.js'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { BusyButton } from './busy-button.js'
import { useStore, useSurroundings } from './context.js'

interface Run {
  count: number
  finished: boolean
  /** What the file lacks, once it is handed over. */
  lacks?: string | null
  problem: string | null
}

export function ExportPanel({ done }: { done: () => void }) {
  const { t, data } = useSurroundings()
  const practice = useStore(data.status, (status) => status?.practice?.name ?? '')
  const [state, setState] = useState<Run | null>(null)
  const run = async () => {
    const parts: string[] = []
    const unreadable: string[] = []
    let count = 0
    try {
      setState({ count, finished: false, problem: null })
      for (let after: string | null = null, more = true; more; ) {
        const page = await connected(data.link).cases.export(after === null ? {} : { after })
        for (const line of page.lines) parts.push(line, '\n')
        count += page.lines.length
        unreadable.push(...page.unreadable)
        after = page.last
        more = page.more && page.last !== null
        setState({ count, finished: false, problem: null })
      }
      if (count > 0) download(new Blob(parts, { type: 'application/x-ndjson' }), fileName(practice))
      const names = unreadable
        .map((id) => data.rows.get()?.find((row) => row.id === id)?.name || id)
        .join(', ')
      setState({ count, finished: true, lacks: names ? t('exportLacks', { names }) : null, problem: null })
    } catch (error) {
      setState({ count, finished: true, problem: refusalSentence(t, refusalOf(error)) })
    }
  }
  return (
    <div className="stack">
      <p className="dim">{t('exportWarning')}</p>
      <p role="status">
        {state &&
          !state.problem &&
          (state.finished
            ? state.count
              ? t.count('exportDone', state.count)
              : t('exportEmpty')
            : t.count('exportRunning', state.count))}
      </p>
      {(state?.problem ?? state?.lacks) && (
        <p className="field-error" role="alert">
          {state?.problem ?? state?.lacks}
        </p>
      )}
      <div className="step-actions">
        {state?.finished && !state.problem ? (
          <Button onClick={done}>{t('done')}</Button>
        ) : (
          <BusyButton busy={state !== null && !state.finished} onClick={() => void run()}>
            {t('exportButton')}
          </BusyButton>
        )}
      </div>
    </div>
  )
}

function fileName(practice: string): string {
  return `${safeName(practice)}-${today()}.jsonl`
}
