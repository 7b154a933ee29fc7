/** New practice: its name, this device's name, a Cloud PIN now or later. */
import { Button, TextInput } from '@mantine/core'
import { useState } from 'react'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { NewPinFields, useNewPin } from './choose-pin.js'
import { useStore, useSurroundings } from './context.js'
import { DeviceNameStep } from './device-name-step.js'
import { Step } from './step.js'

const steps = 3

export function NewPractice({ back }: { back: () => void }) {
  const { t, data } = useSurroundings()
  const suggested = useStore(data.status, (status) => status?.device.name ?? '')
  const [step, setStep] = useState(1)
  const [name, setName] = useState('')
  const [device, setDevice] = useState(suggested)
  const pin = useNewPin()
  const [error, setError] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)

  const stepBack = () => {
    setError(null)
    if (step === 1) back()
    else setStep(step - 1)
  }
  const stepOn = (filled: string) => {
    if (!filled.trim()) return setError(t('nameNeeded'))
    setError(null)
    setStep(step + 1)
  }
  const create = async (withPin: boolean) => {
    setBusy(true)
    setError(null)
    try {
      const practice = name.trim()
      if (withPin && !(await pin.check(practice))) return
      const pinPart = withPin ? { pin: pin.pin } : {}
      await connected(data.link).practice.create({ name: practice, device: device.trim(), ...pinPart })
      data.refreshStatus()
    } catch (failure) {
      setError(refusalSentence(t, refusalOf(failure)))
    } finally {
      setBusy(false)
    }
  }

  const common = { step, of: steps, back: stepBack }
  if (step === 1)
    return (
      <Step {...common} question={t('practiceNameQuestion')} action={t('next')} go={() => stepOn(name)}>
        <TextInput
          label={t('practiceName')}
          description={t('practiceNameHint')}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          error={error}
        />
      </Step>
    )
  if (step === 2)
    return <DeviceNameStep {...common} {...{ device, setDevice, error }} go={() => stepOn(device)} />
  return (
    <Step
      {...common}
      question={t('pinQuestion')}
      text={t('pinHint')}
      action={t('create')}
      go={() => void create(true)}
      busy={busy}
      busyText={t('creating')}
      other={
        <Button variant="subtle" disabled={busy} onClick={() => void create(false)}>
          {t('notNow')}
        </Button>
      }
    >
      <NewPinFields choice={pin} error={error} />
      <p className="dim small">{t('pinLaterHint')}</p>
    </Step>
  )
}
