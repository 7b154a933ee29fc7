/** Before the cases: opening, or a sentence that says how to get a window that works. */
import { Loader } from '@mantine/core'
import { useStore, useSurroundings, useWords } from './context.js'
import { LogoIcon } from './icons.js'

export function Opening() {
  const t = useWords()
  return (
    <main className="centre">
      <LogoIcon size={44} />
      <h1 className="visually-hidden">{t('appName')}</h1>
      <p className="dim quiet-line" role="status">
        <Loader size="xs" aria-hidden="true" /> {t('linking')}
      </p>
    </main>
  )
}

export function LinkTrouble({ kind }: { kind: 'noCode' | 'refused' }) {
  const t = useWords()
  return (
    <main className="centre">
      <div className="sheet sheet-small">
        <LogoIcon size={40} />
        <h1 className="sheet-title">{t('linkNoCode')}</h1>
        {kind === 'refused' && <p>{t('linkRefused')}</p>}
        <p>{t('linkNoCodeHow')}</p>
        <p>
          <code className="command">kartoteka open</code>
        </p>
        <p className="dim">{t('linkNoCodeSafe')}</p>
      </div>
    </main>
  )
}

/** Failed attempts after which it is said that the program may have been restarted. */
const longWaitAttempts = 6

/** The sentence at the top of the window while the device can't be reached. */
export function ConnectionNote() {
  const { data, t } = useSurroundings()
  const status = useStore(data.link.status)
  if (status.kind !== 'waiting') return null
  const sentence =
    status.attempts > longWaitAttempts
      ? t('linkWaitingLong')
      : t(status.stopping ? 'linkStopping' : 'linkWaiting')
  return (
    <p className="connection-note" role="status">
      {sentence}
    </p>
  )
}
