/** The state of the cloud mailbox at the top; present only while it is on here. One click syncs. */
import { Tooltip } from '@mantine/core'
import type { Status } from '../../src/node/contract.js'
import type { PlainKey } from '../words/words.js'
import { useStore, useSurroundings } from './context.js'
import { CloudBusyIcon, CloudIcon, CloudOffIcon } from './icons.js'
import type { Sync } from './use-sync.js'

export type MailboxState = Exclude<Status['state'], 'off'>

const mailboxWords: Record<MailboxState, PlainKey> = {
  connected: 'mailboxConnected',
  syncing: 'mailboxSyncing',
  offline: 'mailboxOffline',
}

const icons: Record<MailboxState, () => React.ReactNode> = {
  connected: CloudIcon,
  syncing: CloudBusyIcon,
  offline: CloudOffIcon,
}

/** The state as the icon shows it; null: not in use here. */
export function useMailboxState(busy: boolean): MailboxState | null {
  const { data } = useSurroundings()
  const state = useStore(data.status, (status) => status?.state ?? 'off')
  if (state === 'off') return null
  return busy ? 'syncing' : state
}

/** How far long work has come, 0 to 1; null while none is running. */
export function progressOf(transfer: Status['transfer']): number | null {
  if (!transfer || transfer.of <= 0 || transfer.done >= transfer.of) return null
  return transfer.done / transfer.of
}

export function MailboxButton({ sync }: { sync: Sync }) {
  const { t, data } = useSurroundings()
  const state = useMailboxState(sync.busy)
  const waiting = useStore(data.status, (status) =>
    status ? status.mailbox.pendingOut + status.mailbox.pendingIn : 0,
  )
  const progress = useStore(data.status, (status) => progressOf(status?.transfer ?? null))
  if (state === null) return null
  const count = state === 'connected' ? 0 : waiting
  const name =
    count > 0 ? `${t(mailboxWords[state])}, ${t('toGo', { n: t.number(count) })}` : t(mailboxWords[state])
  const StateIcon = icons[state]
  return (
    <Tooltip label={name} openDelay={400} multiline maw={280} withinPortal={false}>
      <button
        type="button"
        className="header-button mailbox"
        data-state={state}
        aria-label={name}
        aria-busy={state === 'syncing' || undefined}
        onClick={sync.run}
      >
        <StateIcon />
        {count > 0 && <span className="mailbox-count">{t.number(count)}</span>}
        {progress !== null && (
          <svg className="mailbox-progress" viewBox="0 0 100 2" preserveAspectRatio="none" aria-hidden="true">
            <rect width={progress * 100} height="2" />
          </svg>
        )}
      </button>
    </Tooltip>
  )
}
