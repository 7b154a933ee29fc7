/** Adding a device: the Cloud PIN, the open window with its code, and the question "Add / Not mine". */
import { Button } from '@mantine/core'
import { type FormEvent, useEffect, useState } from 'react'
import type { InviteState } from '../../src/node/contract.js'
import { remaining } from '../lib/dates.js'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import type { PlainKey } from '../words/words.js'
import { BusyButton } from './busy-button.js'
import { NewPinFields, PinField, useNewPin } from './choose-pin.js'
import { useStore, useSurroundings } from './context.js'
import { CheckIcon } from './icons.js'
import { sayRefusal } from './notes.js'
import { PracticeCode } from './practice-code.js'
import { useNow } from './use-now.js'

interface Opened {
  code: string
  invitation: string
}

export function AddDevice({ done }: { done: () => void }) {
  const { t } = useSurroundings()
  const [opened, setOpened] = useState<Opened | null>(null)
  return (
    <section className="add-device" aria-labelledby="add-device-title">
      <h3 id="add-device-title" className="section-title" tabIndex={-1}>
        {t('addDevice')}
      </h3>
      {opened ? (
        <OpenWindow opened={opened} again={() => setOpened(null)} done={done} />
      ) : (
        <AskPin opened={setOpened} cancel={done} />
      )}
    </section>
  )
}

/** The PIN that was chosen before; or, where none was yet, the choice of one. */
function AskPin({ opened, cancel }: { opened: (window: Opened) => void; cancel: () => void }) {
  const { t, data } = useSurroundings()
  // Fixed for as long as this question stands: the choice itself makes it true.
  const [chosen] = useState(() => data.status.get()?.practice?.pinChosen ?? true)
  const pin = useNewPin()
  const [error, setError] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const open = async (event: FormEvent) => {
    event.preventDefault()
    if (busy) return
    if (!pin.pin) return setError(t('pinNeeded'))
    setBusy(true)
    setError(null)
    try {
      const client = connected(data.link)
      if (!chosen) {
        if (!(await pin.check())) return
        await client.practice.choosePin({ pin: pin.pin })
      }
      data.invite.set(null)
      const { code, invitation } = await client.device.invite({ pin: pin.pin })
      data.refreshInvite()
      opened({ code, invitation })
    } catch (failure) {
      setError(refusalSentence(t, refusalOf(failure)))
    } finally {
      setBusy(false)
    }
  }
  return (
    <form className="stack" onSubmit={(event) => void open(event)} noValidate>
      <p className="dim">{t(chosen ? 'addDevicePin' : 'pinProtects')}</p>
      {chosen ? (
        <PinField label={t('cloudPin')} value={pin.pin} change={pin.setPin} error={error} />
      ) : (
        <NewPinFields choice={pin} error={error} />
      )}
      <div className="step-actions">
        <Button variant="subtle" color="gray" onClick={cancel}>
          {t('cancel')}
        </Button>
        <BusyButton type="submit" busy={busy}>
          {t('next')}
        </BusyButton>
      </div>
    </form>
  )
}

const closedWords: Record<Exclude<NonNullable<InviteState['closed']>, 'used'>, PlainKey> = {
  expired: 'inviteExpired',
  cancelled: 'inviteCancelled',
  tries: 'inviteTries',
  replaced: 'inviteReplaced',
}

/** The hint of the device may be lost with a connection, so the open window is looked at now and then. */
const lookEveryMs = 2000

function OpenWindow(props: { opened: Opened; again: () => void; done: () => void }) {
  const { t, data } = useSurroundings()
  const state = useStore(data.invite)
  useEffect(() => {
    const timer = setInterval(() => data.refreshInvite(), lookEveryMs)
    return () => clearInterval(timer)
  }, [data])
  // It is open for as long as it is in sight: nobody would see who asks, or could close it.
  useEffect(
    () => () => {
      if (data.invite.get()?.open === false) return
      data.link
        .client()
        ?.device.closeInvite()
        .catch(() => {})
    },
    [data],
  )
  const added = state?.added.at(-1)
  if (added)
    return (
      <div className="stack">
        <p className="success" role="status">
          <CheckIcon /> {t('deviceAdded', { name: added.name })}
        </p>
        <div className="step-actions">
          <Button
            onClick={() => {
              data.refreshStatus()
              props.done()
            }}
          >
            {t('done')}
          </Button>
        </div>
      </div>
    )
  if (state && !state.open)
    return (
      <div className="stack">
        <p role="status">
          {t(closedWords[state.closed === 'used' ? 'cancelled' : (state.closed ?? 'cancelled')])}
        </p>
        <div className="step-actions">
          <Button variant="subtle" color="gray" onClick={props.done}>
            {t('close')}
          </Button>
          <Button onClick={props.again}>{t('inviteAgain')}</Button>
        </div>
      </div>
    )
  if (state?.asking) return <Asking name={state.asking.name} />
  return <Waiting opened={props.opened} state={state} close={props.done} />
}

function Asking({ name }: { name: string }) {
  const { t, data } = useSurroundings()
  const [busy, setBusy] = useState(false)
  const answer = async (add: boolean) => {
    setBusy(true)
    try {
      await connected(data.link).device.answer({ add })
      data.refreshInvite()
    } catch (error) {
      sayRefusal(t, error)
      setBusy(false)
    }
  }
  return (
    <div className="stack asking" role="alert">
      <p className="asking-title">{t('wantsToJoin', { name })}</p>
      <p className="dim">{t('wantsToJoinText')}</p>
      <div className="step-actions">
        <Button variant="default" disabled={busy} onClick={() => void answer(false)}>
          {t('notMine')}
        </Button>
        <BusyButton busy={busy} onClick={() => void answer(true)}>
          {t('addIt')}
        </BusyButton>
      </div>
    </div>
  )
}

function Waiting({ opened, state, close }: { opened: Opened; state: InviteState | null; close: () => void }) {
  const { t } = useSurroundings()
  const now = useNow(1000)
  return (
    <div className="stack">
      <p>{t('addDeviceOn')}</p>
      <p className="dim">{t('addDeviceSame')}</p>
      <PracticeCode code={opened.code} invitation={opened.invitation} />
      <p className="dim invite-state">
        {state?.expiresAt && <span>{t('timeLeft', { time: remaining(state.expiresAt - now, t) })}</span>}
        {state && <span>{t.count('triesLeft', state.triesLeft)}</span>}
      </p>
      <div className="step-actions">
        <Button variant="default" onClick={close}>
          {t('cancel')}
        </Button>
      </div>
    </div>
  )
}
