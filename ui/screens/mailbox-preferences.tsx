/** Preferences: whether this device uses the cloud mailbox, and where that is. */
import { Button, Checkbox, CloseButton, Loader } from '@mantine/core'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import type { Status } from '../../src/node/contract.js'
import { shortAddress } from '../lib/addresses.js'
import { type Client, connected } from '../state/client.js'
import { relaySentence } from '../words/refusals.js'
import { BusyButton } from './busy-button.js'
import { useStore, useSurroundings } from './context.js'
import { PlusIcon } from './icons.js'
import type { Question } from './mailbox-on.js'
import { say, sayRefusal } from './notes.js'
import { RelayField, useRelayAddress } from './relay-field.js'
import { useFocusAlong } from './use-focus-along.js'

const noRelays: Status['mailbox']['relays'] = []

/** `returned`: its questions have just been left, so the focus comes back here. */
export function MailboxPreferences(props: { ask: (questions: Question[]) => void; returned: boolean }) {
  const { ask, returned } = props
  const { t, data } = useSurroundings()
  const isOn = useStore(data.status, (status) => (status?.state ?? 'off') !== 'off')
  const relays = useStore(data.status, (status) => status?.mailbox.relays ?? noRelays)
  const [busy, setBusy] = useState(false)
  const checkbox = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (returned) checkbox.current?.focus()
  }, [returned])

  const change = async (task: (client: Client) => Promise<unknown>) => {
    setBusy(true)
    try {
      await task(connected(data.link))
      await data.readStatus()
    } catch (error) {
      sayRefusal(t, error)
    } finally {
      setBusy(false)
    }
  }
  const switchOn = () => {
    const questions = missing(data.status.get())
    if (questions.length > 0) ask(questions)
    else void change((client) => client.mailbox.on({ relays: [] }))
  }
  const switchOff = () =>
    change(async (client) => {
      await client.mailbox.off()
      say(t, t('mailboxIsOff'), 'mailbox')
    })
  return (
    <>
      <Checkbox
        className="preference-check"
        label={
          <>
            {t('useMailbox')}
            {busy && <Loader className="preference-busy" size={14} color="currentColor" aria-hidden="true" />}
          </>
        }
        description={t(isOn ? 'mailboxOffMeans' : 'mailboxWhy')}
        checked={isOn}
        aria-busy={busy}
        ref={checkbox}
        onChange={() => {
          if (busy) return
          if (isOn) void switchOff()
          else switchOn()
        }}
      />
      {isOn && <Relays relays={relays} />}
    </>
  )
}

/** What has to be asked before the cloud mailbox can be used. */
function missing(status: Status | null): Question[] {
  return [
    ...(status?.practice?.pinChosen === false ? (['pin'] as const) : []),
    ...(status?.mailbox.relays.length === 0 ? (['relay'] as const) : []),
  ]
}

type Relay = Status['mailbox']['relays'][number]

function Relays({ relays }: { relays: Relay[] }) {
  const { t } = useSurroundings()
  const [adding, setAdding] = useState(false)
  const place = useFocusAlong<HTMLDivElement>(adding)
  /** The address that is asked about before it is taken back. */
  const [asked, setAsked] = useState<string | null>(null)
  return (
    <div className="relays">
      <p className="relays-title">{t('relays')}</p>
      <ul className="relay-list" aria-label={t('relaysOf')}>
        {relays.map((relay) => (
          <li key={relay.address} className="relay">
            <span className="device-dot" data-on={relay.connected || undefined} />
            <div className="relay-text">
              <span className="relay-address" title={relay.address}>
                {shortAddress(relay.address)}
              </span>
              {asked === relay.address ? (
                <ForgetRelay relay={relay} done={() => setAsked(null)} />
              ) : (
                <span className="dim">{relayState(relay)}</span>
              )}
            </div>
            {relays.length > 1 && asked !== relay.address && (
              <CloseButton
                size="sm"
                aria-label={t('forgetRelay', { address: shortAddress(relay.address) })}
                title={t('forgetThisRelay')}
                onClick={() => setAsked(relay.address)}
              />
            )}
          </li>
        ))}
      </ul>
      <div ref={place}>
        {adding ? (
          <AddRelay done={() => setAdding(false)} />
        ) : (
          <Button
            size="compact-sm"
            variant="subtle"
            className="fit"
            leftSection={<PlusIcon />}
            onClick={() => setAdding(true)}
          >
            {t('addRelay')}
          </Button>
        )}
      </div>
    </div>
  )

  function relayState({ connected, sentence }: Relay): string {
    if (connected) return t('relayOn')
    return sentence ? relaySentence(t, sentence) : t('relayOff')
  }
}

function ForgetRelay({ relay, done }: { relay: Relay; done: () => void }) {
  const { t, data } = useSurroundings()
  const [busy, setBusy] = useState(false)
  const forget = async () => {
    if (busy) return
    setBusy(true)
    try {
      await connected(data.link).mailbox.forget({ relay: relay.address })
      await data.readStatus()
    } catch (error) {
      sayRefusal(t, error)
    } finally {
      setBusy(false)
      done()
    }
  }
  return (
    <fieldset className="relay-question" aria-label={t('forgetThisRelay')}>
      <p className="small">{t('forgetMeans')}</p>
      <div className="step-actions">
        <Button size="compact-sm" variant="subtle" color="gray" onClick={done} autoFocus>
          {t('cancel')}
        </Button>
        <BusyButton size="compact-sm" variant="light" busy={busy} onClick={() => void forget()}>
          {t('forgetThisRelay')}
        </BusyButton>
      </div>
    </fieldset>
  )
}

function AddRelay({ done }: { done: () => void }) {
  const { t, data } = useSurroundings()
  const relay = useRelayAddress()
  const add = (event: FormEvent) => {
    event.preventDefault()
    void relay.use(async (address) => {
      await connected(data.link).mailbox.on({ relays: [address] })
      await data.readStatus()
      done()
    })
  }
  return (
    <form className="stack" onSubmit={add} noValidate>
      <RelayField relay={relay} action={t('add')} />
      <div className="step-actions">
        <Button variant="subtle" color="gray" onClick={done}>
          {t('cancel')}
        </Button>
        <BusyButton type="submit" busy={relay.busy === 'using'}>
          {t('add')}
        </BusyButton>
      </div>
    </form>
  )
}
