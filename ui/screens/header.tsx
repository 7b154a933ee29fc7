/** The top of the window: menus, the state of the cloud mailbox, the devices. */
import { Menu } from '@mantine/core'
import { useMediaQuery } from '@mantine/hooks'
import { type ReactNode, useState } from 'react'
import { narrowWindow, useStore, useSurroundings } from './context.js'
import { LogoIcon } from './icons.js'
import { MailboxButton } from './mailbox-button.js'
import { DevicesButton } from './status-panel.js'
import { useSync } from './use-sync.js'

export type Panel =
  | 'preferences'
  | 'devices'
  | 'addDevice'
  | 'import'
  | 'export'
  | 'merging'
  | 'heldMail'
  | 'carry'

export function Header(props: { openPanel: (panel: Panel) => void; newCase: () => void }) {
  const { t, data } = useSurroundings()
  const practice = useStore(data.status, (status) => status?.practice?.name ?? '')
  const sync = useSync()
  const openPanel = (panel: Panel) => {
    // The menu closes with its item; the panel gives the focus back to the button that stays.
    document.querySelector<HTMLElement>('.menu-button[aria-expanded="true"]')?.focus()
    props.openPanel(panel)
  }
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
          <Menu.Item onClick={() => openPanel('preferences')}>{t('preferences')}</Menu.Item>
        </HeaderMenu>
        <HeaderMenu name={t('menuCase')}>
          <Menu.Item onClick={props.newCase}>{t('newCase')}</Menu.Item>
          <Menu.Divider />
          <Menu.Item onClick={() => openPanel('import')}>{t('importItem')}</Menu.Item>
          <Menu.Item onClick={() => openPanel('export')}>{t('exportItem')}</Menu.Item>
          <Menu.Divider />
          <CaseDatabase openPanel={openPanel} />
          <Menu.Divider />
          <Menu.Item onClick={sync.run}>{t('syncNow')}</Menu.Item>
        </HeaderMenu>
        <HeaderMenu name={t('menuHelp')}>
          <Menu.Item onClick={() => openPanel('merging')}>{t('howMerging')}</Menu.Item>
        </HeaderMenu>
      </nav>
      <span className="header-gap" />
      <MailboxButton sync={sync} />
      <DevicesButton
        sync={sync}
        manage={() => props.openPanel('devices')}
        addDevice={() => props.openPanel('addDevice')}
      />
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

/** Opens with the pointer, a click, Enter or the right arrow; never over its own item. */
function CaseDatabase({ openPanel }: { openPanel: (panel: Panel) => void }) {
  const { t } = useSurroundings()
  const [opened, setOpened] = useState(false)
  const narrow = useMediaQuery(narrowWindow) ?? false
  return (
    <Menu.Sub
      opened={opened}
      onChange={setOpened}
      position={narrow ? 'bottom-start' : 'right-start'}
      width={250}
      shadow="md"
    >
      <Menu.Sub.Target>
        <Menu.Sub.Item onClick={() => setOpened(true)}>{t('caseDatabase')}</Menu.Sub.Item>
      </Menu.Sub.Target>
      <Menu.Sub.Dropdown>
        <Menu.Item onClick={() => openPanel('heldMail')}>{t('heldItem')}</Menu.Item>
        <Menu.Item onClick={() => openPanel('carry')}>{t('carryItem')}</Menu.Item>
      </Menu.Sub.Dropdown>
    </Menu.Sub>
  )
}
