/** Decides which screen stands: waiting, no link, first start, or the cases. */
import { MantineProvider, useMantineColorScheme } from '@mantine/core'
import { Notifications } from '@mantine/notifications'
import { useEffect, useMemo } from 'react'
import type { CaseDocs } from '../editor/case-doc.js'
import type { DeviceData } from '../state/device-data.js'
import { theme } from '../theme.js'
import { createWords, isLanguage, type Language } from '../words/words.js'
import { Provide, useStore, useSurroundings } from './context.js'
import { FirstStart } from './first-start.js'
import { LinkTrouble, Opening } from './link-screens.js'
import { CasesWindow } from './window.js'

/** The device's settings hold the theme; the page itself stores nothing. */
const noStorage = {
  get: (value: 'light' | 'dark' | 'auto') => value,
  set() {},
  subscribe() {},
  unsubscribe() {},
  clear() {},
}

export function App({ data, docs }: { data: DeviceData; docs: CaseDocs }) {
  const language = useStore(data.settings, (settings) => languageOf(settings?.language))
  const t = useMemo(() => createWords(language), [language])
  useEffect(() => {
    document.documentElement.lang = language
  }, [language])
  return (
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      colorSchemeManager={noStorage}
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <Provide t={t} data={data} docs={docs}>
        <FollowTheme />
        <Notifications position="bottom-center" limit={3} autoClose={6000} containerWidth={400} />
        <Screen />
      </Provide>
    </MantineProvider>
  )
}

function Screen() {
  const { data } = useSurroundings()
  const link = useStore(data.link.status, (status) => status.kind)
  const known = useStore(data.status, (status) => status !== null)
  const settled = useStore(data.settings, (settings) => settings !== null)
  const practice = useStore(data.status, (status) => status?.practice?.id ?? null)
  if (link === 'noCode' || link === 'refused') return <LinkTrouble kind={link} />
  if (!known || !settled) return <Opening />
  return practice === null ? <FirstStart /> : <CasesWindow />
}

function FollowTheme() {
  const { data } = useSurroundings()
  const wanted = useStore(data.settings, (settings) => settings?.theme)
  const { setColorScheme } = useMantineColorScheme()
  useEffect(() => {
    setColorScheme(wanted === 'light' || wanted === 'dark' ? wanted : 'auto')
  }, [wanted, setColorScheme])
  return null
}

function languageOf(setting: string | undefined): Language {
  if (isLanguage(setting)) return setting
  return navigator.language.startsWith('pl') ? 'pl' : 'en'
}
