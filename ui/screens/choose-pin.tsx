/** The fields of a Cloud PIN: entering it, and choosing a new one (twice, or one that is offered). */
import { Button, PasswordInput } from '@mantine/core'
import { useState } from 'react'
import { proposePin } from '../lib/propose-pin.js'
import { connected } from '../state/client.js'
import { pinFaultSentence } from '../words/refusals.js'
import { useSurroundings } from './context.js'

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

export interface NewPin {
  pin: string
  repeated: string
  setPin: (pin: string) => void
  setRepeated: (pin: string) => void
  fault: { field: 'pin' | 'repeat'; text: string } | null
  /** Asks the device whether the rules allow it; true if so, else the fault stands beside its field. */
  check: (practiceName?: string) => Promise<boolean>
}

export function useNewPin(): NewPin {
  const { t, data } = useSurroundings()
  const [pin, setPin] = useState('')
  const [repeated, setRepeated] = useState('')
  const [fault, setFault] = useState<NewPin['fault']>(null)
  const check = async (practiceName = data.status.get()?.practice?.name ?? '') => {
    const found = await faultOf(practiceName)
    setFault(found)
    return found === null
  }
  const faultOf = async (practice: string): Promise<NewPin['fault']> => {
    if (!pin) return { field: 'pin', text: t('pinNeeded') }
    if (pin !== repeated) return { field: 'repeat', text: t('pinsDiffer') }
    const { ok, sentence } = await connected(data.link).practice.checkPin({ pin, practice })
    return ok ? null : { field: 'pin', text: pinFaultSentence(t, sentence) }
  }
  return { pin, repeated, setPin, setRepeated, fault, check }
}

/** `error`: what the device said beyond the rules. */
export function NewPinFields({ choice, error }: { choice: NewPin; error: string | null }) {
  const { t } = useSurroundings()
  const [offered] = useState(proposePin)
  const faultOf = (field: 'pin' | 'repeat') => (choice.fault?.field === field ? choice.fault.text : null)
  const take = () => {
    choice.setPin(offered)
    choice.setRepeated(offered)
  }
  return (
    <>
      <PinField
        label={t('cloudPin')}
        value={choice.pin}
        change={choice.setPin}
        error={faultOf('pin') ?? error}
        isNew
      />
      <PinField
        label={t('repeatCloudPin')}
        value={choice.repeated}
        change={choice.setRepeated}
        error={faultOf('repeat')}
        isNew
      />
      <p className="dim small">{t('pinRules')}</p>
      <div className="pin-offer">
        <span className="small">{t('pinOffer')}</span>
        <output className="pin-offered">{offered}</output>
        <Button size="compact-sm" variant="light" onClick={take}>
          {t('pinOfferUse')}
        </Button>
      </div>
    </>
  )
}
