/** Preferences: *General* (language, theme) and *Cases* (the cloud mailbox, the practice code). */
import { Button, SegmentedControl } from '@mantine/core'
import { useEffect, useState } from 'react'
import { connected } from '../state/client.js'
import { isLanguage, tables } from '../words/words.js'
import { useStore, useSurroundings } from './context.js'
import { MailboxOn, type Question } from './mailbox-on.js'
import { MailboxPreferences } from './mailbox-preferences.js'
import { sayRefusal } from './notes.js'
import { PracticeCode } from './practice-code.js'

export function Preferences() {
  const { data } = useSurroundings()
  const [questions, setQuestions] = useState<Question[] | null>(null)
  const [returned, setReturned] = useState(false)
  useEffect(() => data.refreshStatus(), [data])
  if (questions) {
    const leave = () => {
      setQuestions(null)
      setReturned(true)
    }
    return <MailboxOn questions={questions} done={leave} cancel={leave} />
  }
  return (
    <>
      <General />
      <Cases ask={setQuestions} returned={returned} />
    </>
  )
}

function General() {
  const { t, data } = useSurroundings()
  const theme = useStore(data.settings, (settings) => settings?.theme ?? 'system')
  return (
    <section className="preference-section" aria-labelledby="preferences-general">
      <h3 id="preferences-general" className="section-title">
        {t('general')}
      </h3>
      <div className="preference">
        <span id="preference-language">{t('language')}</span>
        <SegmentedControl
          aria-labelledby="preference-language"
          value={t.language}
          onChange={(value) => isLanguage(value) && data.setting('language', value)}
          data={(['en', 'pl'] as const).map((value) => ({ value, label: tables[value].languageName }))}
        />
      </div>
      <div className="preference">
        <span id="preference-theme">{t('theme')}</span>
        <SegmentedControl
          aria-labelledby="preference-theme"
          value={theme}
          onChange={(value) => data.setting('theme', value)}
          data={[
            { value: 'light', label: t('themeLight') },
            { value: 'dark', label: t('themeDark') },
            { value: 'system', label: t('themeSystem') },
          ]}
        />
      </div>
    </section>
  )
}

function Cases(props: { ask: (questions: Question[]) => void; returned: boolean }) {
  const { t } = useSurroundings()
  return (
    <section className="preference-section" aria-labelledby="preferences-cases">
      <h3 id="preferences-cases" className="section-title">
        {t('cases')}
      </h3>
      <MailboxPreferences {...props} />
      <CodeOnDemand />
    </section>
  )
}

function CodeOnDemand() {
  const { t, data } = useSurroundings()
  const [shown, setShown] = useState<{ code: string; invitation: string } | null>(null)
  const show = async () => {
    try {
      setShown(await connected(data.link).practice.code())
    } catch (error) {
      sayRefusal(t, error)
    }
  }
  return (
    <div className="preference-block">
      <div className="preference">
        <div>
          <p>{t('practiceCode')}</p>
          <p className="dim small">{t('practiceCodeText')}</p>
        </div>
        <Button
          variant="default"
          size="xs"
          className="fixed"
          aria-expanded={shown !== null}
          onClick={() => (shown ? setShown(null) : void show())}
        >
          {t(shown ? 'hideCode' : 'showCode')}
        </Button>
      </div>
      {shown && <PracticeCode {...shown} />}
    </div>
  )
}
