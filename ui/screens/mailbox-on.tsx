/**
 * Switching the cloud mailbox on where something is missing: the Cloud PIN, the relay's address, or both,
 * one question each. Nothing is changed before the last answer; leaving earlier leaves everything as it was.
 */
import { Button } from '@mantine/core'
import { useState } from 'react'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { NewPinFields, useNewPin } from './choose-pin.js'
import { useSurroundings } from './context.js'
import { RelayField, useRelayAddress } from './relay-field.js'
import { Step } from './step.js'

export type Question = 'pin' | 'relay'

export function MailboxOn(props: { questions: readonly Question[]; done: () => void; cancel: () => void }) {
  const { questions, done, cancel } = props
  const { t, data } = useSurroundings()
  const [at, setAt] = useState(0)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<string | null>(null)
  const pin = useNewPin()
  const relay = useRelayAddress()
  const isLast = at === questions.length - 1

  const switchOn = async (relays: string[]) => {
    const client = connected(data.link)
    await client.mailbox.on({ relays })
    if (questions.includes('pin'))
      try {
        await client.practice.choosePin({ pin: pin.pin })
      } catch (failure) {
        // Not without a PIN: back to how it was.
        await client.mailbox.off()
        throw failure
      }
    await data.readStatus()
    done()
  }
  const answerPin = async () => {
    setBusy(true)
    setError(null)
    try {
      if (!(await pin.check())) return
      if (isLast) await switchOn([])
      else setAt(at + 1)
    } catch (failure) {
      setError(refusalSentence(t, refusalOf(failure)))
    } finally {
      setBusy(false)
    }
  }

  const common = {
    step: at + 1,
    of: questions.length,
    inside: true,
    action: t('next'),
    back: () => (at === 0 ? cancel() : setAt(at - 1)),
    other: (
      <Button variant="subtle" color="gray" onClick={cancel}>
        {t('cancel')}
      </Button>
    ),
  }
  if (questions[at] === 'pin')
    return (
      <Step
        {...common}
        question={t('pinQuestion')}
        text={t('pinProtects')}
        go={() => void answerPin()}
        busy={busy}
      >
        <NewPinFields choice={pin} error={error} />
      </Step>
    )
  return (
    <Step
      {...common}
      question={t('relayQuestion')}
      text={t('relayText')}
      go={() => void relay.use((address) => switchOn([address]))}
      busy={relay.busy === 'using'}
    >
      <RelayField relay={relay} action={t('next')} />
    </Step>
  )
}
