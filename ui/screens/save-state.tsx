/**
 * Beside the title: where the case stands. On this device, on some, on all; and, one click away, which
 * ones. Only what the devices have confirmed counts.
 */
import { useState } from 'react'
import type { DeviceStatus } from '../../src/node/contract.js'
import type { CaseDoc } from '../editor/case-doc.js'
import { createStore } from '../state/store.js'
import { refusalSentence } from '../words/refusals.js'
import type { Words } from '../words/words.js'
import { useStore, useSurroundings } from './context.js'
import { DropPanel } from './drop-panel.js'
import { CheckIcon, ClockIcon } from './icons.js'
import { lastSeen } from './reached.js'
import { useNow } from './use-now.js'

const nothingTyped = createStore({ loaded: false, unsaved: false, problem: null })
const noDevices: DeviceStatus[] = []
const rewordMs = 30_000

export function SaveState(props: { id: string; caseDoc: CaseDoc | null; heldBy: readonly string[] | null }) {
  const { t, data } = useSurroundings()
  const typing = useStore(data.saver.pending, (cases) => cases.has(props.id))
  const writing = useStore(props.caseDoc?.state ?? nothingTyped, (state) => state.unsaved)
  const refusedField = useStore(data.saver.pending, (cases) => cases.get(props.id)?.problem ?? null)
  const refusedNotes = useStore(props.caseDoc?.state ?? nothingTyped, (state) => state.problem)
  const open = useStore(data.link.status, (status) => status.kind === 'open')
  const devices = useStore(data.status, (status) => status?.devices ?? noDevices)
  const [opened, setOpened] = useState(false)
  const unsaved = typing || writing
  const problem = refusedField ?? (writing ? refusedNotes : null)
  const holders = new Set(unsaved ? [] : props.heldBy)
  const holds = (device: DeviceStatus) => (device.self ? !unsaved : holders.has(device.id))
  const sentence = unsaved ? t(open && !problem ? 'saving' : 'notSaved') : savedSentence(t, devices, holds)
  return (
    <DropPanel
      opened={opened}
      setOpened={setOpened}
      side="start"
      widest={330}
      className="delivery"
      button={
        <button
          type="button"
          className="save-state"
          data-unsaved={unsaved || undefined}
          onClick={() => setOpened(!opened)}
        >
          {sentence}
        </button>
      }
    >
      {problem && (
        <p className="field-error" role="alert">
          {refusalSentence(t, problem)}
        </p>
      )}
      <Delivery devices={devices} holds={holds} />
    </DropPanel>
  )
}

function savedSentence(
  t: Words,
  devices: readonly DeviceStatus[],
  holds: (device: DeviceStatus) => boolean,
): string {
  const held = devices.filter(holds).length
  if (held <= 1) return t('savedHere')
  if (held === devices.length) return t('savedOnAll')
  return t('savedOnSome', { held: t.number(held), of: t.number(devices.length) })
}

function Delivery(props: { devices: readonly DeviceStatus[]; holds: (device: DeviceStatus) => boolean }) {
  const { t } = useSurroundings()
  const now = useNow(rewordMs)
  return (
    <>
      <h3 className="status-heading" tabIndex={-1} data-autofocus>
        {t('deliveryTitle')}
      </h3>
      <ul className="delivery-list">
        {props.devices.map((device) => {
          const held = props.holds(device)
          return (
            <li key={device.id} className="delivery-device" data-held={held || undefined}>
              {held ? <CheckIcon /> : <ClockIcon />}
              <span className="device-text">
                <span className="status-device-name">{device.name}</span>
                <span className="dim">{device.self ? t('thisDevice') : lastSeen(t, device, now)}</span>
              </span>
              <span className="delivery-word">{t(held ? 'upToDate' : 'waiting')}</span>
            </li>
          )
        })}
      </ul>
      <p className="dim small">{t('deliveryHint')}</p>
    </>
  )
}
