/** The top of the window: menus, the state of the cloud mailbox, the devices. */
import { Menu, Tooltip } from '@mantine/core'
import { type ReactNode, useState } from 'react'
import { connected } from '../state/client.js'
import type { PlainKey, Words } from '../words/words.js'
import { useStore, useSurroundings } from './context.js'
import { CloudBusyIcon, CloudIcon, CloudOffIcon, DevicesIcon, LogoIcon } from './icons.js'
import { say, sayRefusal } from './notes.js'

export type Panel = 'preferences' | 'devices' | 'import' | 'export' | 'merging'

export function Header(props: { openPanel: (panel: Panel) => void; newCase: () => void }) {
  const { t, data } = useSurroundings()
  const practice = useStore(data.status, (status) => status?.practice?.name ?? '')
  const sync = useSync()
  return (
    <header className="header">
      <span className="brand">
        <LogoIcon />
        <span className="brand-name" title={practice}>
          {practice || t('appName')}
        </span>
      </span>
      <nav className="menus" aria-label={t('appName')}>
        <HeaderMenu name={t('menuGeneral')}>
          <Menu.Item onClick={() => props.openPanel('preferences')}>{t('preferences')}</Menu.Item>
        </HeaderMenu>
        <HeaderMenu name={t('menuCase')}>
          <Menu.Item onClick={props.newCase}>{t('newCase')}</Menu.Item>
          <Menu.Divider />
          <Menu.Item onClick={() => props.openPanel('import')}>{t('importItem')}</Menu.Item>
          <Menu.Item onClick={() => props.openPanel('export')}>{t('exportItem')}</Menu.Item>
          <Menu.Divider />
          <Menu.Item onClick={() => void sync.run()}>{t('syncNow')}</Menu.Item>
        </HeaderMenu>
        <HeaderMenu name={t('menuHelp')}>
          <Menu.Item onClick={() => props.openPanel('merging')}>{t('howMerging')}</Menu.Item>
        </HeaderMenu>
      </nav>
      <span className="header-gap" />
      <MailboxButton sync={() => void sync.run()} busy={sync.busy} />
      <button type="button" className="header-button" onClick={() => props.openPanel('devices')}>
        <DevicesIcon />
        <span className="header-button-text">{t('devices')}</span>
      </button>
    </header>
  )
}

function HeaderMenu({ name, children }: { name: string; children: ReactNode }) {
  return (
    <Menu position="bottom-start" offset={4} width={220} shadow="md" transitionProps={{ duration: 80 }}>
      <Menu.Target>
        <button type="button" className="menu-button">
          {name}
        </button>
      </Menu.Target>
      <Menu.Dropdown>{children}</Menu.Dropdown>
    </Menu>
  )
}

/** Present only while the cloud mailbox is on; one click syncs. */
function MailboxButton({ sync, busy }: { sync: () => void; busy: boolean }) {
  const { t, data } = useSurroundings()
  const configured = useStore(data.status, (status) => status?.mailbox.configured ?? false)
  const state = useStore(data.status, (status) => status?.state ?? 'off')
  if (!configured || state === 'off') return null
  const shown = busy ? 'syncing' : state
  const name = t(mailboxWords[shown])
  return (
    <Tooltip label={name} openDelay={400}>
      <button
        type="button"
        className="header-button mailbox"
        data-state={shown}
        aria-label={name}
        onClick={sync}
      >
        {shown === 'connected' ? <CloudIcon /> : shown === 'syncing' ? <CloudBusyIcon /> : <CloudOffIcon />}
      </button>
    </Tooltip>
  )
}

const mailboxWords: Record<'connected' | 'syncing' | 'offline', PlainKey> = {
  connected: 'mailboxConnected',
  syncing: 'mailboxSyncing',
  offline: 'mailboxOffline',
}

/** "Sync now", with its outcome in one sentence. */
export function useSync() {
  const { t, data } = useSurroundings()
  const [busy, setBusy] = useState(false)
  const run = async () => {
    setBusy(true)
    try {
      const { sent, received } = await connected(data.link).sync()
      say(t, syncSentence(t, sent, received), 'sync')
      data.refreshStatus()
    } catch (error) {
      sayRefusal(t, error)
    } finally {
      setBusy(false)
    }
  }
  return { run, busy }
}

function syncSentence(t: Words, sent: number, received: number): string {
  if (sent === 0 && received === 0) return t('syncDone')
  return `${t('syncDone')} ${t.count('syncSent', sent)}, ${t.count('syncReceived', received)}.`
}
