/** Drawers and views: a column of choices, or one select on a smaller window. */
import { NativeSelect } from '@mantine/core'
import type { ReactNode } from 'react'
import { drawerOfView, drawerView, standardDrawers, type View } from '../lib/list.js'
import type { PlainKey, Words } from '../words/words.js'
import { useWords } from './context.js'
import { ArchiveIcon, CardsIcon, DrawerIcon, TrashIcon } from './icons.js'

interface SidebarProps {
  view: View
  counts: ReadonlyMap<View, number>
  drawers: readonly string[]
  choose: (view: View) => void
}

export function Sidebar({ view, counts, drawers, choose }: SidebarProps) {
  const t = useWords()
  const item = (value: View, name: string, icon: ReactNode) => (
    <label key={value} className="view" data-active={value === view || undefined}>
      <input
        type="radio"
        className="visually-hidden"
        name="view"
        checked={value === view}
        onChange={() => choose(value)}
      />
      {icon}
      <span className="view-name">{name}</span>
      <span className="view-count" aria-hidden="true">
        {counts.get(value) ? t.number(counts.get(value) ?? 0) : ''}
      </span>
    </label>
  )
  return (
    <div className="sidebar" role="radiogroup" aria-label={t('drawers')}>
      {item('all', t('allCases'), <CardsIcon />)}
      <p className="sidebar-title" aria-hidden="true">
        {t('drawers')}
      </p>
      {drawers.map((name) => item(drawerView(name), drawerName(t, name), <DrawerIcon />))}
      <p className="sidebar-title" aria-hidden="true">
        {t('views')}
      </p>
      {item('archived', t('archivedView'), <ArchiveIcon />)}
      {item('deleted', t('recentlyDeleted'), <TrashIcon />)}
    </div>
  )
}

export function ViewSelect({ view, counts, drawers, choose }: SidebarProps) {
  const t = useWords()
  const option = (value: View, name: string) => {
    const count = counts.get(value)
    return { value, label: count ? `${name} (${t.number(count)})` : name }
  }
  return (
    <NativeSelect
      className="grow"
      aria-label={t('show')}
      value={view}
      onChange={(event) => choose(event.currentTarget.value as View)}
      data={[
        option('all', t('allCases')),
        ...drawers.map((name) => option(drawerView(name), drawerName(t, name))),
        option('archived', t('archivedView')),
        option('deleted', t('recentlyDeleted')),
      ]}
    />
  )
}

export function viewName(t: Words, view: View): string {
  if (view === 'archived') return t('archivedView')
  if (view === 'deleted') return t('recentlyDeleted')
  const drawer = drawerOfView(view)
  return drawer === null ? t('allCases') : drawerName(t, drawer)
}

const drawerWords: Record<(typeof standardDrawers)[number], PlainKey> = {
  Patients: 'drawerPatients',
  Colleagues: 'drawerColleagues',
  Study: 'drawerStudy',
  Seminars: 'drawerSeminars',
  Other: 'drawerOther',
}

/** The standard drawers are stored in English and shown in the window's language. */
export function drawerName(t: Words, stored: string): string {
  const standard = standardDrawers.find((name) => name === stored)
  return standard ? t(drawerWords[standard]) : stored
}
