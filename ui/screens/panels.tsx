/** What opens over the cases: preferences, devices, files, what the relay holds, help. */
import { Drawer, Modal } from '@mantine/core'
import type { ReactNode } from 'react'
import { CarryPanel } from './carry.js'
import { useSurroundings } from './context.js'
import { DevicesPanel } from './devices.js'
import { ExportPanel } from './export.js'
import type { Panel } from './header.js'
import { HeldMail } from './held-mail.js'
import { ImportPanel } from './import.js'
import { Preferences } from './preferences.js'

export function Panels({ panel, close }: { panel: Panel | null; close: () => void }) {
  const { t } = useSurroundings()
  const dialog = (name: Panel, title: string, size: 'md' | 'lg', children: ReactNode) => (
    <Modal.Root opened={panel === name} onClose={close} size={size} xOffset="2.5vw" {...calm}>
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
      {dialog('preferences', t('preferencesTitle'), 'lg', <Preferences />)}
      {dialog('import', t('importTitle'), 'lg', <ImportPanel />)}
      {dialog('export', t('exportTitle'), 'md', <ExportPanel done={close} />)}
      {dialog('heldMail', t('heldTitle'), 'lg', <HeldMail />)}
      {dialog('carry', t('carryTitle'), 'lg', <CarryPanel />)}
      {dialog('merging', t('howMerging'), 'lg', <Merging />)}
      <Drawer.Root
        opened={panel === 'devices' || panel === 'addDevice'}
        onClose={close}
        position="right"
        size="27rem"
        {...calm}
      >
        <Drawer.Overlay backgroundOpacity={overlayOpacity} />
        <Drawer.Content>
          <Drawer.Header role="presentation">
            <Drawer.Title>{t('devices')}</Drawer.Title>
            <Drawer.CloseButton aria-label={t('close')} />
          </Drawer.Header>
          <Drawer.Body>
            <DevicesPanel adding={panel === 'addDevice'} />
          </Drawer.Body>
        </Drawer.Content>
      </Drawer.Root>
    </>
  )
}

/** The page itself never scrolls, and locking it would need a style tag. */
const calm = { lockScroll: false, transitionProps: { duration: 120 } }
const overlayOpacity = 0.32

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
