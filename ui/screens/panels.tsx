/** What opens over the cases: preferences, devices, import, export, help. */
import { Drawer, Modal, SegmentedControl } from '@mantine/core'
import type { ReactNode } from 'react'
import { isLanguage, tables } from '../words/words.js'
import { useStore, useSurroundings } from './context.js'
import { DevicesPanel } from './devices.js'
import { ExportPanel } from './export.js'
import type { Panel } from './header.js'
import { ImportPanel } from './import.js'

export function Panels({ panel, close }: { panel: Panel | null; close: () => void }) {
  const { t } = useSurroundings()
  const dialog = (name: Panel, title: string, size: 'md' | 'lg', children: ReactNode) => (
    <Modal.Root opened={panel === name} onClose={close} size={size} {...calm}>
      <Modal.Overlay backgroundOpacity={overlayOpacity} />
      <Modal.Content>
        <Modal.Header role="presentation">
          <Modal.Title>{title}</Modal.Title>
          <Modal.CloseButton aria-label={t('close')} />
        </Modal.Header>
        <Modal.Body>{children}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  )
  return (
    <>
      {dialog('preferences', t('preferencesTitle'), 'md', <Preferences />)}
      {dialog('import', t('importTitle'), 'lg', <ImportPanel />)}
      {dialog('export', t('exportTitle'), 'md', <ExportPanel done={close} />)}
      {dialog('merging', t('howMerging'), 'lg', <Merging />)}
      <Drawer.Root opened={panel === 'devices'} onClose={close} position="right" size="27rem" {...calm}>
        <Drawer.Overlay backgroundOpacity={overlayOpacity} />
        <Drawer.Content>
          <Drawer.Header role="presentation">
            <Drawer.Title>{t('devices')}</Drawer.Title>
            <Drawer.CloseButton aria-label={t('close')} />
          </Drawer.Header>
          <Drawer.Body>
            <DevicesPanel />
          </Drawer.Body>
        </Drawer.Content>
      </Drawer.Root>
    </>
  )
}

/** The page itself never scrolls, and locking it would need a style tag. */
const calm = { lockScroll: false, transitionProps: { duration: 120 } }
const overlayOpacity = 0.32

function Preferences() {
  const { t, data } = useSurroundings()
  const theme = useStore(data.settings, (settings) => settings?.theme ?? 'system')
  return (
    <section aria-labelledby="preferences-general">
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

function Merging() {
  const { t } = useSurroundings()
  const parts = [
    ['mergeTextTitle', 'mergeText'],
    ['mergeFieldTitle', 'mergeField'],
    ['mergeListTitle', 'mergeList'],
    ['mergeDeleteTitle', 'mergeDelete'],
    ['mergeLimitsTitle', 'mergeLimits'],
  ] as const
  return (
    <div className="help">
      <p>{t('mergeIntro')}</p>
      {parts.map(([title, text]) => (
        <section key={title}>
          <h3>{t(title)}</h3>
          <p>{t(text)}</p>
        </section>
      ))}
    </div>
  )
}
