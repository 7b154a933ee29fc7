/** What opens over the cases: preferences, devices, import, export, help. */
import { Drawer, Modal, SegmentedControl } from '@mantine/core'
import { isLanguage, tables } from '../words/words.js'
import { useStore, useSurroundings } from './context.js'
import { DevicesPanel } from './devices.js'
import { ExportPanel } from './export.js'
import type { Panel } from './header.js'
import { ImportPanel } from './import.js'

export function Panels({ panel, close }: { panel: Panel | null; close: () => void }) {
  const { t } = useSurroundings()
  const common = {
    onClose: close,
    // The page itself never scrolls, and locking it would need a style tag.
    lockScroll: false,
    overlayProps: { backgroundOpacity: 0.32 },
    closeButtonProps: { 'aria-label': t('close') },
    transitionProps: { duration: 120 },
  }
  return (
    <>
      <Modal opened={panel === 'preferences'} title={t('preferencesTitle')} {...common}>
        <Preferences />
      </Modal>
      <Modal opened={panel === 'import'} title={t('importTitle')} size="lg" {...common}>
        <ImportPanel />
      </Modal>
      <Modal opened={panel === 'export'} title={t('exportItem').replace('…', '')} {...common}>
        <ExportPanel done={close} />
      </Modal>
      <Modal opened={panel === 'merging'} title={t('howMerging')} size="lg" {...common}>
        <Merging />
      </Modal>
      <Drawer opened={panel === 'devices'} title={t('devices')} position="right" size="27rem" {...common}>
        <DevicesPanel />
      </Drawer>
    </>
  )
}

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
