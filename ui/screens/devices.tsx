/** The devices of the practice: how they are reached, when they were seen, what they still lack. */
import { Button, TextInput } from '@mantine/core'
import { useEffect, useState } from 'react'
import type { DeviceStatus } from '../../src/node/contract.js'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { AddDevice } from './add-device.js'
import { BusyButton } from './busy-button.js'
import { useStore, useSurroundings } from './context.js'
import { PencilIcon, PlusIcon } from './icons.js'
import { DeviceDot, DeviceState, reachedBy } from './reached.js'
import { useFocusAlong } from './use-focus-along.js'
import { useNow } from './use-now.js'
import { useSync } from './use-sync.js'

/** How often "5 minutes ago" is worded anew. */
const rewordMs = 30_000

const none: DeviceStatus[] = []

/** `adding`: begins with adding a device. */
export function DevicesPanel({ adding: startsAdding }: { adding: boolean }) {
  const { t, data } = useSurroundings()
  const devices = useStore(data.status, (status) => status?.devices ?? none)
  const [adding, setAdding] = useState(startsAdding)
  const sync = useSync()
  const now = useNow(rewordMs)
  useEffect(() => data.refreshStatus(), [data])
  if (adding) return <AddDevice done={() => setAdding(false)} />
  return (
    <div className="devices">
      <ul className="device-list">
        {devices.map((device) => (
          <Device key={device.id} device={device} now={now} />
        ))}
      </ul>
      {devices.length === 1 && <p className="dim">{t('onlyDevice')}</p>}
      <div className="device-actions">
        <Button leftSection={<PlusIcon />} onClick={() => setAdding(true)}>
          {t('addDevice')}
        </Button>
        <BusyButton variant="default" busy={sync.busy} onClick={sync.run}>
          {t('syncNow')}
        </BusyButton>
      </div>
    </div>
  )
}

function Device({ device, now }: { device: DeviceStatus; now: number }) {
  const { t } = useSurroundings()
  const [renaming, setRenaming] = useState(false)
  const place = useFocusAlong<HTMLLIElement>(renaming)
  return (
    <li className="device" ref={place}>
      <DeviceDot device={device} />
      {renaming ? (
        <Rename device={device} done={() => setRenaming(false)} />
      ) : (
        <>
          <div className="device-text">
            <span className="device-name">{device.name}</span>
            <span className="dim">{reachedBy(t, device, now)}</span>
          </div>
          <DeviceState t={t} device={device} />
          <button
            type="button"
            className="icon-button"
            aria-label={t('renameDevice', { name: device.name })}
            title={t('rename')}
            onClick={() => setRenaming(true)}
          >
            <PencilIcon />
          </button>
        </>
      )}
    </li>
  )
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
      />
      <Button type="submit">{t('save')}</Button>
      <Button variant="subtle" color="gray" onClick={done}>
        {t('cancel')}
      </Button>
    </form>
  )
}
