/** One case: its title and state, the patient, the consultations and prescriptions. */
import { Button } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import type { CaseDoc } from '../editor/case-doc.js'
import type { CaseView } from '../lib/case-view.js'
import { ageInYears, readableDate } from '../lib/dates.js'
import { connected } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { CaseActions } from './case-actions.js'
import { Consultations } from './consultations.js'
import { useStore, useSurroundings } from './context.js'
import { EditedCase, OtherConflicts } from './fields.js'
import { BackIcon, RestoreIcon } from './icons.js'
import { sayRefusal } from './notes.js'
import { PatientFields } from './patient-fields.js'
import { Prescriptions } from './prescriptions.js'
import { SaveState } from './save-state.js'

interface CaseScreenProps {
  id: string
  /** Just begun: the first field takes the focus. */
  fresh: boolean
  drawers: readonly string[]
  back: (() => void) | null
}

export function CaseScreen({ id, fresh, drawers, back }: CaseScreenProps) {
  const { t, data } = useSurroundings()
  const view = useStore(data.openCase, (open) => (open?.id === id ? open.view : null))
  const problem = useStore(data.openCase, (open) => (open?.id === id ? open.problem : null))
  const rowName = useStore(data.rows, (rows) => rows?.find((row) => row.id === id)?.name ?? '')
  const caseDoc = useCaseDoc(id)
  const pending = useStore(data.saver.pending, (cases) => cases.get(id)?.values)
  const patientField = (name: string) => pending?.get(`patient.${name}`) ?? view?.patient[name] ?? ''
  const name = view
    ? [patientField('firstName'), patientField('lastName')].filter(Boolean).join(' ')
    : rowName
  return (
    <article className="case" aria-labelledby="case-title">
      <header className="case-top">
        {back && (
          <button type="button" className="icon-button" aria-label={t('back')} onClick={back}>
            <BackIcon />
          </button>
        )}
        <div className="case-heading">
          <h2 id="case-title" className="case-title" tabIndex={-1} data-unnamed={!name || undefined}>
            {name || t('unnamed')}
          </h2>
          <p className="case-subtitle dim">
            {view && <Born birthDate={patientField('birthDate')} />}
            {view && <SaveState id={id} caseDoc={caseDoc} heldBy={view.heldBy} />}
          </p>
        </div>
        {view && <CaseActions view={view} />}
      </header>
      {problem && (
        <p className="banner">{problem.code === 'no-case' ? t('caseGone') : refusalSentence(t, problem)}</p>
      )}
      {view && <CaseBody view={view} caseDoc={caseDoc} fresh={fresh} drawers={drawers} />}
    </article>
  )
}

function CaseBody(props: {
  view: CaseView
  caseDoc: CaseDoc | null
  fresh: boolean
  drawers: readonly string[]
}) {
  const { view, caseDoc } = props
  return (
    <EditedCase view={view}>
      <Banners view={view} />
      <div className="case-body">
        <div className="case-patient">
          <PatientFields fresh={props.fresh} drawers={props.drawers} />
          <OtherConflicts />
        </div>
        <Consultations caseDoc={caseDoc} />
        <Prescriptions />
      </div>
    </EditedCase>
  )
}

function Banners({ view }: { view: CaseView }) {
  const { t, data } = useSurroundings()
  if (view.deleted)
    return (
      <div className="banner" role="note">
        <div>
          {view.lateEdits && <strong className="mark">{t('lateEditMark')}</strong>}
          <p>{t('deletedBanner')}</p>
          {view.lateEdits && <p>{t('lateEditsBanner')}</p>}
        </div>
        <Button
          leftSection={<RestoreIcon />}
          onClick={async () => {
            document.getElementById('case-title')?.focus()
            try {
              await connected(data.link).cases.restore({ ids: [view.id] })
              data.refreshCase()
              data.refreshList()
            } catch (error) {
              sayRefusal(t, error)
            }
          }}
        >
          {t('restore')}
        </Button>
      </div>
    )
  if (view.archived)
    return (
      <div className="banner" role="note">
        <p>{t('archivedBanner')}</p>
      </div>
    )
  return null
}

function Born({ birthDate }: { birthDate: string }) {
  const { t } = useSurroundings()
  if (!birthDate) return null
  const age = ageInYears(birthDate, new Date())
  return (
    <span>
      {readableDate(birthDate, t.language)}
      {age !== null && ` · ${t.count('yearsOld', age)}`}
    </span>
  )
}

/** The case's document while its screen stands. */
function useCaseDoc(id: string): CaseDoc | null {
  const { docs } = useSurroundings()
  const [held, setHeld] = useState<CaseDoc | null>(null)
  const current = useRef<string | null>(null)
  useEffect(() => {
    const { caseDoc, release } = docs.acquire(id)
    current.current = id
    setHeld(caseDoc)
    return () => {
      setHeld(null)
      release()
    }
  }, [docs, id])
  return held
}
