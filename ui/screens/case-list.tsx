/**
 * The list of cases: 10,000 rows, of which only those in sight are drawn. One stop of the Tab key;
 * arrows, Home, End, Page keys and letters move in it, Enter opens.
 */
import { Button, CloseButton, TextInput } from '@mantine/core'
import { useVirtualizer } from '@tanstack/react-virtual'
import {
  type KeyboardEvent,
  memo,
  type ReactNode,
  type Ref,
  useCallback,
  useEffect,
  useImperativeHandle,
  useLayoutEffect,
  useRef,
  useState,
} from 'react'
import type { CaseListRow } from '../../src/node/contract.js'
import { readableDate } from '../lib/dates.js'
import { TypeAhead, type View } from '../lib/list.js'
import type { Words } from '../words/words.js'
import { useWords } from './context.js'
import { firstClick } from './first-click.js'
import { PlusIcon, SearchIcon } from './icons.js'

const rowHeight = 58
/** Rows drawn beyond the edge, so that quick scrolling shows no gaps. */
const spareRows = 10
/** Moving on with the arrow keys opens a case once the cursor rests this long. */
const restMs = 140

export interface CaseListHandle {
  focus(): void
}

interface CaseListProps {
  ref: Ref<CaseListHandle>
  rows: readonly CaseListRow[] | null
  view: View
  query: string
  setQuery: (query: string) => void
  openId: string | null
  /** The case follows the cursor; on a narrow window it opens with Enter only. */
  followsCursor: boolean
  open: (id: string, move: boolean) => void
  newCase: () => void
  top: ReactNode
}

const nobody: readonly CaseListRow[] = []

export function CaseList(props: CaseListProps) {
  const { query, setQuery, openId, open } = props
  const t = useWords()
  const rows = props.rows ?? nobody
  const scroller = useRef<HTMLDivElement>(null)
  const listbox = useRef<HTMLDivElement>(null)
  const typeAhead = useRef(new TypeAhead())
  const rest = useRef<ReturnType<typeof setTimeout>>(undefined)
  const [cursorId, setCursorId] = useState<string | null>(openId)
  const cursor = rows.findIndex((row) => row.id === cursorId)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: spareRows,
    getItemKey: (index) => rows[index]?.id ?? index,
  })
  useImperativeHandle(props.ref, () => ({ focus: () => listbox.current?.focus() }))
  useEffect(() => () => clearTimeout(rest.current), [])
  useEffect(() => setCursorId(openId), [openId])
  // biome-ignore lint/correctness/useExhaustiveDependencies: another view or search begins at its top
  useEffect(() => {
    if (scroller.current) scroller.current.scrollTop = 0
  }, [props.view, query])
  const openIndex = rows.findIndex((row) => row.id === openId)
  // biome-ignore lint/correctness/useExhaustiveDependencies: when another case opens or its row appears, not when others come
  useEffect(() => {
    if (openIndex >= 0) virtual.scrollToIndex(openIndex, { align: 'auto' })
  }, [openId, openIndex >= 0, props.view, query])

  const moveTo = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))]
    if (!row) return
    setCursorId(row.id)
    virtual.scrollToIndex(rows.indexOf(row), { align: 'auto' })
    clearTimeout(rest.current)
    if (props.followsCursor) rest.current = setTimeout(() => open(row.id, false), restMs)
  }
  const openNow = (index: number, move = true) => {
    const row = rows[index]
    if (!row) return
    clearTimeout(rest.current)
    setCursorId(row.id)
    open(row.id, move)
  }
  // Rows are drawn only when they change, so they call what is current through this.
  const clicked = useRef((_index: number) => {})
  useLayoutEffect(() => {
    clicked.current = (index) => openNow(index, !props.followsCursor)
  })
  const click = useCallback((index: number) => clicked.current(index), [])
  const keyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / rowHeight) - 1)
    const now = performance.now()
    const target = targetOf(event.key, cursor, page, rows.length)
    if (target !== null) {
      event.preventDefault()
      return moveTo(target)
    }
    if (event.key === 'Enter') {
      event.preventDefault()
      return openNow(Math.max(cursor, 0))
    }
    if ([...event.key].length !== 1) return
    event.preventDefault()
    if (event.key === ' ' && !typeAhead.current.isTyping(now)) return openNow(Math.max(cursor, 0))
    const found = typeAhead.current.type(event.key, rows, cursor, now)
    if (found >= 0) moveTo(found)
  }
  const searchKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown' && rows.length > 0) {
      event.preventDefault()
      listbox.current?.focus()
      moveTo(Math.max(cursor, 0))
    } else if (event.key === 'Enter') openNow(0)
    else if (event.key === 'Escape' && query) {
      event.preventDefault()
      setQuery('')
    }
  }

  return (
    <section className="list-pane">
      <div className="list-top">
        <div className="list-tools">
          {props.top}
          <Button className="new-case" leftSection={<PlusIcon />} onClick={firstClick(props.newCase)}>
            {t('newCase')}
          </Button>
        </div>
        <TextInput
          type="search"
          role="searchbox"
          aria-label={t('searchCases')}
          placeholder={t('searchCases')}
          leftSection={<SearchIcon />}
          rightSection={
            query ? (
              <CloseButton size="sm" aria-label={t('clearSearch')} onClick={() => setQuery('')} />
            ) : null
          }
          value={query}
          onChange={(event) => setQuery(event.currentTarget.value)}
          onKeyDown={searchKeyDown}
          spellCheck={false}
          autoComplete="off"
        />
        <p className="visually-hidden" role="status">
          {props.rows && query ? t.count('caseCount', rows.length) : ''}
        </p>
      </div>
      <div className="list-scroller" ref={scroller} tabIndex={-1}>
        {rows.length === 0 && <EmptyList {...props} />}
        <div
          id="cases"
          ref={listbox}
          className="list"
          role="listbox"
          aria-label={t('cases')}
          tabIndex={0}
          aria-activedescendant={cursor >= 0 ? optionId(cursor) : undefined}
          onKeyDown={keyDown}
          onFocus={() => {
            if (cursor < 0 && rows[0]) setCursorId(rows[0].id)
          }}
          style={{ height: rows.length === 0 ? 0 : virtual.getTotalSize() }}
        >
          {virtual.getVirtualItems().map(({ index, start }) => {
            const row = rows[index]
            if (!row) return null
            return (
              <Row
                key={row.id}
                row={row}
                index={index}
                of={rows.length}
                start={start}
                selected={row.id === openId}
                atCursor={index === cursor}
                t={t}
                click={click}
              />
            )
          })}
        </div>
      </div>
    </section>
  )
}

/** Where a key moves the cursor; null if it is no key of movement. */
function targetOf(key: string, cursor: number, page: number, count: number): number | null {
  switch (key) {
    case 'ArrowDown':
      return cursor + 1
    case 'ArrowUp':
      return Math.max(0, cursor - 1)
    case 'PageDown':
      return cursor + page
    case 'PageUp':
      return Math.max(0, cursor - page)
    case 'Home':
      return 0
    case 'End':
      return count - 1
    default:
      return null
  }
}

function optionId(index: number): string {
  return `case-${index}`
}

interface RowProps {
  row: CaseListRow
  index: number
  of: number
  start: number
  selected: boolean
  atCursor: boolean
  t: Words
  click: (index: number) => void
}

const Row = memo(
  function Row({ row, index, of, start, selected, atCursor, t, click }: RowProps) {
    const marked = row.conflicts > 0 || (row.deleted && row.lateEdits)
    const date = row.lastConsultation ? readableDate(row.lastConsultation, t.language) : null
    const consultation = date === null ? t('noConsultation') : marked ? date : t('lastConsultation', { date })
    return (
      // biome-ignore lint/a11y/useFocusableInteractive: the listbox holds the focus and names its option
      // biome-ignore lint/a11y/useKeyWithClickEvents: the listbox hears the keys
      <div
        id={optionId(index)}
        role="option"
        className="row"
        aria-selected={selected}
        aria-setsize={of}
        aria-posinset={index + 1}
        data-cursor={atCursor || undefined}
        style={{ transform: `translateY(${start}px)`, height: rowHeight }}
        onClick={() => click(index)}
      >
        <span className="row-first">
          <span className="row-name" data-unnamed={!row.name || undefined}>
            {row.name || t('unnamed')}
          </span>
          {row.birthYear !== null && <span className="row-year">{t('born', { year: row.birthYear })}</span>}
        </span>
        <span className="row-second">
          <span className="row-consultation">{consultation}</span>
          {row.deleted && row.lateEdits && <span className="mark">{t('lateEditMark')}</span>}
          {row.conflicts > 0 && (
            <span className="mark" title={t.count('conflictCount', row.conflicts)}>
              {t('otherValue')}
            </span>
          )}
        </span>
      </div>
    )
  },
  (a, b) =>
    a.row === b.row &&
    a.index === b.index &&
    a.of === b.of &&
    a.start === b.start &&
    a.selected === b.selected &&
    a.atCursor === b.atCursor &&
    a.t === b.t,
)

function EmptyList({ rows, view, query }: CaseListProps) {
  const t = useWords()
  if (rows === null) return <p className="empty dim">{t('loadingCases')}</p>
  if (query) return <p className="empty dim">{t('noMatch', { text: query })}</p>
  if (view === 'deleted') return <p className="empty dim">{t('emptyDeleted')}</p>
  if (view === 'archived') return <p className="empty dim">{t('emptyArchive')}</p>
  if (view !== 'all') return <p className="empty dim">{t('emptyDrawer')}</p>
  return (
    <div className="empty dim">
      <p>{t('emptyList')}</p>
      <p>{t('emptyListHint')}</p>
    </div>
  )
}
