/**
 * "Devices" at the top and what opens below it: the state of the cloud mailbox (if it is in use), what
 * waits for whom, problems, and what happened lately.
 */
import { Button, Progress } from '@mantine/core'
import { useEffect, useRef, useState } from 'react'
import type { DeviceStatus, Refusal, Status } from '../../src/node/contract.js'
import { moment } from '../lib/dates.js'
import { readableSize } from '../lib/sizes.js'
import { connected } from '../state/client.js'
import { happeningSentence } from '../words/happenings.js'
import { refusalSentence } from '../words/refusals.js'
import type { PlainKey, Words } from '../words/words.js'
import { BusyButton } from './busy-button.js'
import { useStore, useSurroundings } from './context.js'
import { DropPanel } from './drop-panel.js'
import { DevicesIcon, SyncIcon, WarningIcon } from './icons.js'
import { type MailboxState, progressOf, useMailboxState } from './mailbox-button.js'
import { DeviceDot, DeviceState, reachedBy } from './reached.js'
import { useNow } from './use-now.js'
import type { Sync } from './use-sync.js'

const rewordMs = 30_000
/** What happened lately, before "Show more". */
const fewLines = 4
const manyLines = 60
const noDevices: DeviceStatus[] = []
const noProblems: Refusal[] = []

export interface StatusPanelProps {
  sync: Sync
  manage: () => void
  addDevice: () => void
}

export function DevicesButton(props: StatusPanelProps) {
  const { t, data } = useSurroundings()
  const [opened, setOpened] = useState(false)
  const problems = useStore(data.status, (status) => status?.problems.length ?? 0)
  const leave = (go: () => void) => () => {
    setOpened(false)
    go()
  }
  return (
    <>
      <DropPanel
        opened={opened}
        setOpened={setOpened}
        side="end"
        widest={420}
        className="status-panel"
        button={
          <button
            type="button"
            className="header-button"
            aria-label={t('devices')}
            aria-describedby={problems > 0 ? 'problem-count' : undefined}
            onClick={() => setOpened(!opened)}
          >
            <DevicesIcon />
            <span className="header-button-text">{t('devices')}</span>
            {problems > 0 && <span className="attention-dot" />}
          </button>
        }
      >
        <StatusPanel {...props} manage={leave(props.manage)} addDevice={leave(props.addDevice)} />
      </DropPanel>
      {problems > 0 && (
        <span id="problem-count" hidden>
          {t.count('problemCount', problems)}
        </span>
      )}
    </>
  )
}

function StatusPanel({ sync, manage, addDevice }: StatusPanelProps) {
  const { t, data } = useSurroundings()
  const devices = useStore(data.status, (status) => status?.devices ?? noDevices)
  const problems = useStore(data.status, (status) => status?.problems ?? noProblems)
  const mailbox = useMailboxState(sync.busy)
  const now = useNow(rewordMs)
  useEffect(() => data.refreshStatus(), [data])
  return (
    <>
      <div className="status-top">
        <h2 className="status-title" tabIndex={-1} data-autofocus>
          {t(mailbox ? 'cloudMailbox' : 'devices')}
        </h2>
        <BusyButton
          size="compact-sm"
          variant="light"
          leftSection={<SyncIcon />}
          busy={sync.busy}
          onClick={sync.run}
        >
          {t('syncNow')}
        </BusyButton>
      </div>
      <Waiting mailbox={mailbox} />
      {problems.length > 0 && (
        <section className="problems" aria-label={t('problems')}>
          {problems.map((problem) => (
            <p key={problem.code + problem.sentence} className="problem">
              <WarningIcon /> <span>{refusalSentence(t, problem)}</span>
            </p>
          ))}
        </section>
      )}
      <ul className="status-devices" aria-label={t('devices')}>
        {devices.map((device) => (
          <li key={device.id} className="status-device">
            <DeviceDot device={device} />
            <div className="device-text">
              <span className="status-device-name">{device.name}</span>
              <span className="dim">{reachedBy(t, device, now)}</span>
            </div>
            <DeviceState t={t} device={device} />
          </li>
        ))}
      </ul>
      <div className="status-actions">
        <Button size="compact-sm" variant="subtle" onClick={addDevice}>
          {t('addDevice')}
        </Button>
        <Button size="compact-sm" variant="subtle" onClick={manage}>
          {t('manageDevices')}
        </Button>
      </div>
      <Happenings now={now} />
    </>
  )
}

/** What is under way; with real progress while cases flow. */
function Waiting({ mailbox }: { mailbox: MailboxState | null }) {
  const { t, data } = useSurroundings()
  const waiting = useStore(data.status, (status) => status?.mailbox)
  const transfer = useStore(data.status, (status) => status?.transfer ?? null)
  const progress = progressOf(transfer)
  return (
    <>
      {mailbox && waiting && <p className="status-line">{waitingSentence(t, mailbox, waiting)}</p>}
      {transfer && progress !== null && (
        <div className="status-transfer">
          <p className="status-line">
            {t('transferring', {
              done: t.number(transfer.done),
              of: t.number(transfer.of),
              size: readableSize(transfer.bytes, t),
            })}
          </p>
          <Progress size="sm" value={progress * 100} aria-label={t('transferProgress')} />
        </div>
      )}
    </>
  )
}

function waitingSentence(t: Words, state: MailboxState, waiting: Status['mailbox']): string {
  const counts = [
    ...(waiting.pendingOut > 0 ? [t('toSend', { n: t.number(waiting.pendingOut) })] : []),
    ...(waiting.pendingIn > 0 ? [t('toFetch', { n: t.number(waiting.pendingIn) })] : []),
  ]
  const states: Record<MailboxState, PlainKey> = {
    connected: counts.length > 0 ? 'connectedState' : 'connectedHint',
    syncing: 'syncingState',
    offline: 'offlineHint',
  }
  return [t(states[state]), counts.join(' · ')].filter(Boolean).join(' ')
}

type Happening = { at: number; code: string; text: string }

function Happenings({ now }: { now: number }) {
  const { t, data } = useSurroundings()
  const status = useStore(data.status)
  const [lines, setLines] = useState<Happening[] | null>(null)
  const [all, setAll] = useState(false)
  const list = useRef<HTMLOListElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked again whenever the status is new
  useEffect(() => {
    let current = true
    const ask = async () => {
      const found = await connected(data.link).log()
      if (current) setLines(found.toSorted((a, b) => b.at - a.at).slice(0, manyLines))
    }
    // Without an answer what is shown stays; the note at the top says that the connection is interrupted.
    ask().catch(() => {})
    return () => {
      current = false
    }
  }, [data, status])
  const showAll = () => {
    // The button goes; the focus stays near.
    list.current?.focus()
    setAll(true)
  }
  if (!lines) return null
  const shown = all ? lines : lines.slice(0, fewLines)
  return (
    <section className="happenings" aria-labelledby="happenings-title">
      <h3 id="happenings-title" className="status-heading">
        {t('happened')}
      </h3>
      {lines.length === 0 && <p className="dim small">{t('happenedNothing')}</p>}
      <ol className="happening-list" ref={list} tabIndex={-1}>
        {shown.map((line, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two lines may say the same at the same moment
          <li key={`${line.at} ${index}`} className="happening">
            <time className="dim" dateTime={new Date(line.at).toISOString()}>
              {moment(line.at, now, t)}
            </time>
            <span>{happeningSentence(t, line)}</span>
          </li>
        ))}
      </ol>
      {lines.length > shown.length && (
        <Button size="compact-sm" variant="subtle" onClick={showAll}>
          {t('showMore')}
        </Button>
      )}
    </section>
  )
}
