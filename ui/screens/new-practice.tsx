/** New practice: its name, this device's name, a Cloud PIN now or later. */
import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useState } from 'react'
import { connected, refusalOf } from '../state/client.js'
import { pinFaultSentence, refusalSentence } from '../words/refusals.js'
import { useStore, useSurroundings } from './context.js'
import { Step } from './step.js'

const steps = 3

export function NewPractice({ back }: { back: () => void }) {
  const { t, data } = useSurroundings()
  const suggested = useStore(data.status, (status) => status?.device.name ?? '')
  const [step, setStep] = useState(1)
  const [name, setName] = useState('')
  const [device, setDevice] = useState(suggested)
  const [pin, setPin] = useState('')
  const [repeated, setRepeated] = useState('')
  const [error, setError] = useState<{ field: 'name' | 'pin' | 'repeat'; text: string } | null>(null)
  const [busy, setBusy] = useState(false)
  const errorOf = (field: 'name' | 'pin' | 'repeat') => (error?.field === field ? error.text : null)

  const stepBack = () => {
    setError(null)
    if (step === 1) back()
    else setStep(step - 1)
  }
  const stepOn = (filled: string) => {
    if (!filled.trim()) return setError({ field: 'name', text: t('nameNeeded') })
    setError(null)
    setStep(step + 1)
  }
  const create = async (chosenPin: string | null) => {
    if (chosenPin === '') return setError({ field: 'pin', text: t('pinNeeded') })
    if (chosenPin !== null && chosenPin !== repeated)
      return setError({ field: 'repeat', text: t('pinsDiffer') })
    setBusy(true)
    setError(null)
    try {
      const client = connected(data.link)
      const practice = name.trim()
      if (chosenPin !== null) {
        const check = await client.practice.checkPin({ pin: chosenPin, practice })
        if (!check.ok) return setError({ field: 'pin', text: pinFaultSentence(t, check.sentence) })
      }
      const pinPart = chosenPin === null ? {} : { pin: chosenPin }
      await client.practice.create({ name: practice, device: device.trim(), ...pinPart })
      data.refreshStatus()
    } catch (failure) {
      setError({ field: 'pin', text: refusalSentence(t, refusalOf(failure)) })
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
          error={errorOf('name')}
        />
      </Step>
    )
  if (step === 2)
    return (
      <Step {...common} question={t('deviceNameQuestion')} action={t('next')} go={() => stepOn(device)}>
        <TextInput
          label={t('deviceName')}
          description={t('deviceNameHint')}
          value={device}
          onChange={(event) => setDevice(event.currentTarget.value)}
          error={errorOf('name')}
        />
      </Step>
    )
  return (
    <Step
      {...common}
      question={t('pinQuestion')}
      text={t('pinHint')}
      action={t('create')}
      go={() => void create(pin)}
      busy={busy}
      busyText={t('creating')}
      other={
        <Button variant="subtle" disabled={busy} onClick={() => void create(null)}>
          {t('notNow')}
        </Button>
      }
    >
      <PinField label={t('cloudPin')} value={pin} change={setPin} error={errorOf('pin')} isNew />
      <PinField
        label={t('repeatCloudPin')}
        value={repeated}
        change={setRepeated}
        error={errorOf('repeat')}
        isNew
      />
      <p className="dim small">{t('pinLaterHint')}</p>
    </Step>
  )
}

export function PinField(props: {
  label: string
  value: string
  change: (pin: string) => void
  error: string | null
  isNew?: boolean
}) {
  return (
    <PasswordInput
      label={props.label}
      value={props.value}
      onChange={(event) => props.change(event.currentTarget.value)}
      error={props.error}
      autoComplete={props.isNew ? 'new-password' : 'off'}
      visibilityToggleButtonProps={{ 'aria-hidden': true }}
    />
  )
}
