/** Who the patient is, and in which drawer the case lies. */
import { Button, TextInput } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import { useSurroundings } from './context.js'
import { ChoiceField, DateField, TextField, useEditedCase } from './fields.js'
import { drawerName } from './sidebar.js'
import { useFocusAlong } from './use-focus-along.js'

const newDrawer = '\u0000new'

export function PatientFields({ fresh, drawers }: { fresh: boolean; drawers: readonly string[] }) {
  const { t } = useSurroundings()
  const { patient } = useEditedCase()
  const firstField = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (fresh) firstField.current?.focus()
  }, [fresh])
  const field = (name: string) => ({ field: `patient.${name}`, stored: patient[name] ?? '' })
  return (
    <section className="card" aria-label={t('patient')}>
      <div className="field-grid">
        <TextField ref={firstField} label={t('firstName')} {...field('firstName')} />
        <TextField label={t('lastName')} {...field('lastName')} />
        <DateField label={t('birthDate')} {...field('birthDate')} />
        <ChoiceField
          label={t('sex')}
          {...field('sex')}
          options={[
            { value: '', label: t('sexNone') },
            { value: 'F', label: t('sexF') },
            { value: 'M', label: t('sexM') },
            { value: 'X', label: t('sexX') },
          ]}
        />
        <TextField className="field-long" label={t('phone')} keys="tel" {...field('phone')} />
        <TextField className="field-long" label={t('email')} keys="email" {...field('email')} />
        <TextField className="field-wide" label={t('address')} {...field('address')} />
        <DrawerField drawers={drawers} />
      </div>
    </section>
  )
}

function DrawerField({ drawers }: { drawers: readonly string[] }) {
  const { t, data } = useSurroundings()
  const view = useEditedCase()
  const [naming, setNaming] = useState(false)
  const [name, setName] = useState('')
  const place = useFocusAlong<HTMLDivElement>(naming)
  const put = () => {
    const chosen = name.trim()
    setNaming(false)
    setName('')
    if (!chosen) return
    data.saver.type(view.id, 'drawer', chosen, view.drawer)
    void data.saver.flush(view.id)
  }
  const form = (
    <form
      className="new-drawer"
      onSubmit={(event) => {
        event.preventDefault()
        put()
      }}
    >
      <TextInput
        className="grow"
        label={t('newDrawerName')}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Escape') setNaming(false)
        }}
      />
      <Button type="submit" variant="default">
        {t('add')}
      </Button>
    </form>
  )
  const choice = (
    <ChoiceField
      label={t('drawer')}
      field="drawer"
      stored={view.drawer}
      options={[
        { value: '', label: t('drawerNone') },
        ...drawers.map((stored) => ({ value: stored, label: drawerName(t, stored) })),
        { value: newDrawer, label: t('newDrawer') },
      ]}
      special={(value) => {
        if (value !== newDrawer) return false
        setNaming(true)
        return true
      }}
    />
  )
  return (
    <div className="field-wide" ref={place}>
      {naming ? form : choice}
    </div>
  )
}
