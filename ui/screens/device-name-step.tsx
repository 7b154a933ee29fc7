/** What this device is called: the same question for who begins a practice and who joins one. */
import { TextInput } from '@mantine/core'
import { useWords } from './context.js'
import { Step, type StepProps } from './step.js'

interface DeviceNameStepProps extends Pick<StepProps, 'step' | 'of' | 'back' | 'go'> {
  device: string
  setDevice: (device: string) => void
  error: string | null
}

export function DeviceNameStep({ device, setDevice, error, ...common }: DeviceNameStepProps) {
  const t = useWords()
  return (
    <Step {...common} question={t('deviceNameQuestion')} action={t('next')}>
      <TextInput
        label={t('deviceName')}
        description={t('deviceNameHint')}
        value={device}
        onChange={(event) => setDevice(event.currentTarget.value)}
        error={error}
      />
    </Step>
  )
}
