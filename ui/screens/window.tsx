/** The Case module: drawers, list and case; on a narrow window one of them at a time. */
import { useMediaQuery } from '@mantine/hooks'
import { useMemo, useRef, useState } from 'react'
import { countViews, drawerOfView, drawersOf, filterRows, rowsOfView, type View } from '../lib/list.js'
import { connected } from '../state/client.js'
import { CaseList, type CaseListHandle } from './case-list.js'
import { CaseScreen } from './case-screen.js'
import { narrowWindow, useStore, useSurroundings } from './context.js'
import { Header, type Panel } from './header.js'
import { CardsIcon } from './icons.js'
import { ConnectionNote } from './link-screens.js'
import { sayRefusal } from './notes.js'
import { Panels } from './panels.js'
import { Sidebar, ViewSelect, viewName } from './sidebar.js'

const noSidebar = '(max-width: 68em)'

export function CasesWindow() {
  const { t, data } = useSurroundings()
  const rows = useStore(data.rows)
  const openId = useStore(data.openCase, (open) => open?.id ?? null)
  const narrow = useMediaQuery(narrowWindow) ?? false
  const compact = useMediaQuery(noSidebar) ?? false
  const [view, setView] = useState<View>('all')
  const [query, setQuery] = useState('')
  const [pane, setPane] = useState<'list' | 'case'>('list')
  const [panel, setPanel] = useState<Panel | null>(null)
  const [freshCase, setFreshCase] = useState<string | null>(null)
  const list = useRef<CaseListHandle>(null)
  const ofView = useMemo(() => rowsOfView(rows ?? [], view), [rows, view])
  const shown = useMemo(() => filterRows(ofView, query), [ofView, query])
  const counts = useMemo(() => countViews(rows ?? []), [rows])
  const drawers = useMemo(() => drawersOf(rows ?? []), [rows])

  const open = (id: string, move: boolean) => {
    // Only when it is begun does a case take the focus: later, letters meant for the list would go into it.
    setFreshCase(null)
    data.show(id)
    if (!move) return
    setPane('case')
    focusSoon('case-title')
  }
  const newCase = async () => {
    const drawer = drawerOfView(view)
    try {
      // An empty patient is given, so that there is something to keep from the first moment.
      const json = JSON.stringify({ patient: {}, ...(drawer ? { drawer } : {}) })
      const { id } = await connected(data.link).cases.create({ json })
      setQuery('')
      if (view === 'archived' || view === 'deleted') setView('all')
      setFreshCase(id)
      data.show(id)
      data.refreshList()
      setPane('case')
    } catch (error) {
      sayRefusal(t, error)
    }
  }
  const backToList = () => {
    setPane('list')
    requestAnimationFrame(() => list.current?.focus())
  }
  const choose = (next: View) => {
    setView(next)
    setQuery('')
  }

  const sidebar = { view, counts, drawers, choose }
  return (
    <div className="window" data-pane={pane}>
      <button type="button" className="skip" onClick={() => list.current?.focus()}>
        {t('skipToCases')}
      </button>
      <Header openPanel={setPanel} newCase={() => void newCase()} />
      <ConnectionNote />
      <main className="panes">
        <h1 className="visually-hidden">{t('cases')}</h1>
        {!compact && <Sidebar {...sidebar} />}
        {!(narrow && pane === 'case') && (
          <CaseList
            ref={list}
            rows={rows === null ? null : shown}
            view={view}
            query={query}
            setQuery={setQuery}
            openId={openId}
            followsCursor={!narrow}
            open={open}
            newCase={() => void newCase()}
            top={
              compact ? (
                <ViewSelect {...sidebar} />
              ) : (
                <ListTitle name={viewName(t, view)} count={rows === null ? null : shown.length} />
              )
            }
          />
        )}
        {!(narrow && pane === 'list') && (
          <section
            className="case-pane"
            aria-label={t('menuCase')}
            // Should the window become narrow, by zooming too, what is being written in stays in sight.
            onFocus={() => setPane('case')}
          >
            {openId === null ? (
              <NoCase />
            ) : (
              <CaseScreen
                key={openId}
                id={openId}
                fresh={freshCase === openId}
                drawers={drawers}
                back={narrow ? backToList : null}
              />
            )}
          </section>
        )}
      </main>
      <Panels panel={panel} close={() => setPanel(null)} />
    </div>
  )
}

function ListTitle({ name, count }: { name: string; count: number | null }) {
  const { t } = useSurroundings()
  return (
    <div className="list-title">
      <h2>{name}</h2>
      <p className="dim small">{count === null ? '' : t.count('caseCount', count)}</p>
    </div>
  )
}

function NoCase() {
  const { t } = useSurroundings()
  return (
    <div className="no-case dim">
      <CardsIcon />
      <p className="no-case-title">{t('chooseCase')}</p>
      <p>{t('chooseCaseText')}</p>
    </div>
  )
}

function focusSoon(id: string): void {
  requestAnimationFrame(() => document.getElementById(id)?.focus())
}
