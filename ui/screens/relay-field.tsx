/** The field `Relay address`, with a button that tests whether a relay answers there. */
import { TextInput } from '@mantine/core'
import { type ReactNode, useState } from 'react'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence, testSentence } from '../words/refusals.js'
import { BusyButton } from './busy-button.js'
import { useSurroundings } from './context.js'

type Tested = { address: string; ok: boolean; sentence: string }

export interface RelayAddress {
  typed: string
  type: (typed: string) => void
  busy: 'testing' | 'using' | null
  tested: Tested | null
  error: string | null
  test: () => Promise<void>
  /** Tests the address unless that was done, then runs `task` with it; one that failed the test must be chosen twice. */
  use: (task: (address: string) => Promise<void>) => Promise<void>
}

export function useRelayAddress(): RelayAddress {
  const { t, data } = useSurroundings()
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState<RelayAddress['busy']>(null)
  const [tested, setTested] = useState<Tested | null>(null)
  const [error, setError] = useState<string | null>(null)
  const address = typed.trim()

  const tryIt = async () => {
    const { ok, sentence } = await connected(data.link).mailbox.test({ address })
    const found = { address, ok, sentence: ok ? t('relayAnswers') : testSentence(t, sentence) }
    setTested(found)
    return found
  }
  const guarded = async (as: NonNullable<RelayAddress['busy']>, task: () => Promise<void>) => {
    if (busy) return
    if (!address) return setError(t('relayNeeded'))
    setError(null)
    setBusy(as)
    try {
      await task()
    } catch (failure) {
      setError(refusalSentence(t, refusalOf(failure)))
    } finally {
      setBusy(null)
    }
  }
  return {
    typed,
    busy,
    tested: tested?.address === address ? tested : null,
    error,
    type: (next) => {
      setError(null)
      setTyped(next)
    },
    test: () =>
      guarded('testing', async () => {
        await tryIt()
      }),
    use: (task) =>
      guarded('using', async () => {
        const knownToFail = tested?.address === address && !tested.ok
        if (knownToFail || (await tryIt()).ok) await task(address)
      }),
  }
}

export function RelayField({ relay, action }: { relay: RelayAddress; action: string }) {
  const { t } = useSurroundings()
  return (
    <div className="relay-field">
      <div className="relay-line">
        <TextInput
          className="grow"
          label={t('relayAddress')}
          description={t('relayHint')}
          placeholder="/dns4/relay.example.org/tcp/4001/p2p/12D3KooW…"
          value={relay.typed}
          onChange={(event) => relay.type(event.currentTarget.value)}
          error={relay.error}
          spellCheck={false}
          autoComplete="off"
        />
        <BusyButton
          variant="default"
          busy={relay.busy === 'testing'}
          disabled={relay.busy === 'using'}
          onClick={() => void relay.test()}
        >
          {t('test')}
        </BusyButton>
      </div>
      <p className="small relay-answer" role="status" data-ok={relay.tested?.ok}>
        {relay.busy ? t('testing') : relay.tested && <Answer tested={relay.tested} action={action} />}
      </p>
    </div>
  )
}

function Answer({ tested, action }: { tested: Tested; action: string }): ReactNode {
  const { t } = useSurroundings()
  return tested.ok ? tested.sentence : `${tested.sentence} ${t('relayAnyway', { action })}`
}
