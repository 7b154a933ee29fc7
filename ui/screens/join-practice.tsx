/** Join my other devices: this device's name, where the others are, the Cloud PIN. */
import { TextInput } from '@mantine/core'
import { useRef, useState } from 'react'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { PinField } from './choose-pin.js'
import { useStore, useSurroundings } from './context.js'
import { DeviceNameStep } from './device-name-step.js'
import { ChevronIcon } from './icons.js'
import { Step } from './step.js'

const steps = 3
const codeFaults = new Set(['not-a-code', 'code-mistyped', 'too-long', 'bad-address'])

export function JoinPractice({ back }: { back: () => void }) {
  const { t, data } = useSurroundings()
  const suggested = useStore(data.status, (status) => status?.device.name ?? '')
  const [step, setStep] = useState(1)
  const [device, setDevice] = useState(suggested)
  const [code, setCode] = useState('')
  const [relay, setRelay] = useState('')
  const [address, setAddress] = useState('')
  const [pin, setPin] = useState('')
  const [error, setError] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const joining = useRef<AbortController>(null)

  const move = (to: number) => {
    // Who goes back has given it up, and may found a practice next.
    joining.current?.abort()
    setError(null)
    if (to === 0) back()
    else setStep(to)
  }
  const join = async () => {
    if (!pin) return setError(t('pinNeeded'))
    setBusy(true)
    setError(null)
    joining.current = new AbortController()
    const { signal } = joining.current
    const way = {
      ...(code.trim() ? { code: code.trim() } : {}),
      relays: listOf(relay),
      addresses: listOf(address),
    }
    try {
      await connected(data.link).practice.join({ ...way, device: device.trim(), pin }, { signal })
      data.refreshStatus()
      data.refreshList()
    } catch (failure) {
      if (signal.aborted) return
      // What is wrong with the code is said beside the code.
      if (codeFaults.has(refusalOf(failure)?.code ?? '')) setStep(2)
      setError(refusalSentence(t, refusalOf(failure)))
    } finally {
      setBusy(false)
    }
  }

  const common = { step, of: steps, back: () => move(step - 1) }
  if (step === 1)
    return (
      <DeviceNameStep
        {...common}
        {...{ device, setDevice, error }}
        go={() => (device.trim() ? move(2) : setError(t('nameNeeded')))}
      />
    )
  if (step === 2)
    return (
      <Step
        {...common}
        question={t('joinWhere')}
        text={t('joinWhereText')}
        action={t('next')}
        go={() => move(3)}
      >
        <TextInput
          label={t('practiceCode')}
          description={t('practiceCodeHint')}
          value={code}
          onChange={(event) => {
            setError(null)
            setCode(event.currentTarget.value)
          }}
          error={error}
          spellCheck={false}
          autoComplete="off"
        />
        <TextInput
          label={t('relayAddress')}
          description={t('relayOptional')}
          value={relay}
          onChange={(event) => setRelay(event.currentTarget.value)}
          spellCheck={false}
          autoComplete="off"
        />
        <details className="more" open={Boolean(address)}>
          <summary>
            <ChevronIcon /> {t('moreWays')}
          </summary>
          <TextInput
            label={t('otherAddress')}
            value={address}
            onChange={(event) => setAddress(event.currentTarget.value)}
            spellCheck={false}
            autoComplete="off"
          />
        </details>
      </Step>
    )
  return (
    <Step
      {...common}
      question={t('joinPin')}
      text={t('joinPinHint')}
      action={t('join')}
      go={() => void join()}
      busy={busy}
      busyText={t('joining')}
    >
      <PinField label={t('cloudPin')} value={pin} change={setPin} error={error} />
    </Step>
  )
}

function listOf(typed: string): string[] {
  return typed.split(/[\s,]+/).filter(Boolean)
}
