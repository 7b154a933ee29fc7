/** First start: a new practice, or joining one's other devices. One question at a time. */
import { SegmentedControl } from '@mantine/core'
import { type ReactNode, useState } from 'react'
import { useSurroundings } from './context.js'
import { CardsIcon, DevicesIcon, LogoIcon } from './icons.js'
import { JoinPractice } from './join-practice.js'
import { ConnectionNote } from './link-screens.js'
import { NewPractice } from './new-practice.js'

export function FirstStart() {
  const { t } = useSurroundings()
  const [path, setPath] = useState<'choose' | 'new' | 'join'>('choose')
  const back = () => setPath('choose')
  return (
    <div className="first-start">
      <ConnectionNote />
      <header className="first-start-top">
        <span className="brand">
          <LogoIcon /> {t('appName')}
        </span>
        <LanguageSwitch />
      </header>
      <main className="centre">
        {path === 'choose' && <Choose choose={setPath} />}
        {path === 'new' && <NewPractice back={back} />}
        {path === 'join' && <JoinPractice back={back} />}
      </main>
    </div>
  )
}

function Choose({ choose }: { choose: (path: 'new' | 'join') => void }) {
  const { t } = useSurroundings()
  return (
    <div className="welcome">
      <h1 className="welcome-title">{t('welcome')}</h1>
      <p className="dim welcome-text">{t('welcomeText')}</p>
      <div className="choices">
        <Choice
          icon={<CardsIcon />}
          name={t('newPractice')}
          text={t('newPracticeText')}
          onClick={() => choose('new')}
        />
        <Choice
          icon={<DevicesIcon />}
          name={t('joinDevices')}
          text={t('joinDevicesText')}
          onClick={() => choose('join')}
        />
      </div>
    </div>
  )
}

function Choice(props: { icon: ReactNode; name: string; text: string; onClick: () => void }) {
  return (
    <div className="choice">
      <span className="choice-icon">{props.icon}</span>
      <button type="button" className="choice-button" onClick={props.onClick}>
        {props.name}
      </button>
      <p className="dim">{props.text}</p>
    </div>
  )
}

function LanguageSwitch() {
  const { t, data } = useSurroundings()
  return (
    <SegmentedControl
      size="xs"
      aria-label={t('language')}
      value={t.language}
      onChange={(value) => data.setting('language', value)}
      data={[
        { value: 'en', label: 'English' },
        { value: 'pl', label: 'Polski' },
      ]}
    />
  )
}
