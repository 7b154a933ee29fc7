/** The devices of the practice: how they are reached, when they were seen, what they still lack. */
import { Button, TextInput } from '@mantine/core'
import { useEffect, useState } from 'react'
import type { DeviceStatus } from '../../src/node/contract.js'
import { timeAgo } from '../lib/dates.js'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import type { PlainKey } from '../words/words.js'
import { AddDevice } from './add-device.js'
import { useStore, useSurroundings } from './context.js'
import { useSync } from './header.js'
import { PencilIcon, PlusIcon } from './icons.js'
import { useNow } from './use-now.js'

/** How often "5 minutes ago" is worded anew. */
const rewordMs = 30_000

const pathWords: Record<DeviceStatus['path'], PlainKey> = {
  lan: 'pathLan',
  direct: 'pathDirect',
  relayed: 'pathRelayed',
  mailbox: 'pathMailbox',
  none: 'pathNone',
}

const none: DeviceStatus[] = []

export function DevicesPanel() {
  const { t, data } = useSurroundings()
  const devices = useStore(data.status, (status) => status?.devices ?? none)
  const [adding, setAdding] = useState(false)
  const [renaming, setRenaming] = useState<string | null>(null)
  const sync = useSync()
  const now = useNow(rewordMs)
  useEffect(() => data.refreshStatus(), [data])
  if (adding) return <AddDevice done={() => setAdding(false)} />
  return (
    <div className="devices">
      <ul className="device-list">
        {devices.map((device) => (
          <li key={device.id} className="device">
            <span className="device-dot" data-on={device.self || device.connected || undefined} />
            {renaming === device.id ? (
              <Rename device={device} done={() => setRenaming(null)} />
            ) : (
              <>
                <div className="device-text">
                  <span className="device-name">{device.name}</span>
                  <span className="dim">
                    {device.self ? t('thisDevice') : <Reached device={device} now={now} />}
                  </span>
                </div>
                {!device.self && (
                  <span className="device-state" data-behind={!device.upToDate || undefined}>
                    {device.upToDate ? t('upToDate') : t.count('behind', device.behind)}
                  </span>
                )}
                <button
                  type="button"
                  className="icon-button"
                  aria-label={t('renameDevice', { name: device.name })}
                  title={t('rename')}
                  onClick={() => setRenaming(device.id)}
                >
                  <PencilIcon />
                </button>
              </>
            )}
          </li>
        ))}
      </ul>
      {devices.length === 1 && <p className="dim">{t('onlyDevice')}</p>}
      <div className="device-actions">
        <Button leftSection={<PlusIcon />} onClick={() => setAdding(true)}>
          {t('addDevice')}
        </Button>
        <Button variant="default" loading={sync.busy} onClick={() => void sync.run()}>
          {t('syncNow')}
        </Button>
      </div>
    </div>
  )
}

function Reached({ device, now }: { device: DeviceStatus; now: number }) {
  const { t } = useSurroundings()
  if (device.connected) return t(pathWords[device.path])
  const seen =
    device.lastSeen === null ? t('neverSeen') : t('lastSeen', { when: timeAgo(device.lastSeen, now, t) })
  return device.path === 'none' ? seen : `${t(pathWords[device.path])} · ${seen}`
}

function Rename({ device, done }: { device: DeviceStatus; done: () => void }) {
  const { t, data } = useSurroundings()
  const [name, setName] = useState(device.name)
  const [error, setError] = useState<string | null>(null)
  const save = async () => {
    if (!name.trim()) return setError(t('nameNeeded'))
    try {
      await connected(data.link).device.rename({ id: device.id, name: name.trim() })
      data.refreshStatus()
      done()
    } catch (failure) {
      setError(refusalSentence(t, refusalOf(failure)))
    }
  }
  return (
    <form
      className="rename"
      onSubmit={(event) => {
        event.preventDefault()
        void save()
      }}
    >
      <TextInput
        className="grow"
        label={t('deviceName')}
        value={name}
        error={error}
        onChange={(event) => setName(event.currentTarget.value)}
        data-autofocus
        ref={(input) => {
          if (input && document.activeElement?.tagName !== 'INPUT') input.focus()
        }}
      />
      <Button type="submit">{t('save')}</Button>
      <Button variant="subtle" color="gray" onClick={done}>
        {t('cancel')}
      </Button>
    </form>
  )
}
