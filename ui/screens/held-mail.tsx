/** What the relay holds: for each relay and recipient how much, how long; nothing more is to be seen there. */
import { Loader } from '@mantine/core'
import { useCallback, useEffect, useState } from 'react'
import type { MailboxReport } from '../../src/node/contract.js'
import { shortAddress } from '../lib/addresses.js'
import { age, moment } from '../lib/dates.js'
import { exactSize, readableSize } from '../lib/sizes.js'
import { connected, refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import { BusyButton } from './busy-button.js'
import { useSurroundings, useWords } from './context.js'
import { CheckIcon, SealIcon } from './icons.js'

type Relay = MailboxReport['relays'][number]
type Shown = { report: MailboxReport; at: number }

export function HeldMail() {
  const { t } = useSurroundings()
  const { shown, problem, busy, ask } = useHeldMail()
  return (
    <div className="stack">
      <p className="dim held-text">
        <SealIcon /> <span>{t('heldText')}</span>
      </p>
      {problem && (
        <p className="field-error" role="alert">
          {problem}
        </p>
      )}
      {!shown && !problem && <Loader size="sm" />}
      {shown?.report.relays.length === 0 && <Nothing text={t('heldNoMailbox')} />}
      {shown?.report.relays.map((relay) => (
        <HeldAt key={relay.address} relay={relay} />
      ))}
      {shown && shown.report.relays.length > 1 && (
        <p className="held-total">
          {t('heldInAll', { items: t.count('heldCount', shown.report.pendingTotal) })}
        </p>
      )}
      <div className="held-foot">
        <span className="dim small">{shown && t('heldAsOf', { time: moment(shown.at, shown.at, t) })}</span>
        <BusyButton variant="default" busy={busy} onClick={() => void ask()}>
          {t('refresh')}
        </BusyButton>
      </div>
    </div>
  )
}

function useHeldMail() {
  const { t, data } = useSurroundings()
  const [shown, setShown] = useState<Shown | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const ask = useCallback(async () => {
    setBusy(true)
    try {
      const report = await connected(data.link).mailbox.show()
      setShown({ report, at: Date.now() })
      setProblem(null)
    } catch (error) {
      setProblem(refusalSentence(t, refusalOf(error)))
    } finally {
      setBusy(false)
    }
  }, [data, t])
  useEffect(() => void ask(), [ask])
  return { shown, problem, busy, ask }
}

function HeldAt({ relay }: { relay: Relay }) {
  const t = useWords()
  const isEmpty = relay.pending.length === 0 && relay.safetyCopy.count === 0
  return (
    <section className="held" aria-label={relay.address}>
      <h3 className="held-address" title={relay.address}>
        <span className="device-dot" data-on={relay.connected || undefined} />
        <span className="relay-address">{shortAddress(relay.address)}</span>
      </h3>
      {relay.connected && isEmpty && <Nothing text={t('heldNothing')} />}
      {!relay.connected && <p className="dim">{t('heldUnreachable')}</p>}
      {!isEmpty && <HeldTable relay={relay} />}
      {relay.record !== null && <p className="dim small">{t('heldRecord', { record: relay.record })}</p>}
    </section>
  )
}

function HeldTable({ relay }: { relay: Relay }) {
  const t = useWords()
  const lines = [
    ...relay.pending.map(({ recipient, name, count, bytes, oldest }) => ({
      key: recipient,
      name,
      count,
      bytes,
      oldest: age(oldest, t),
    })),
    ...(relay.safetyCopy.count > 0
      ? [{ key: 'safety copy', name: t('heldSafetyCopy'), ...relay.safetyCopy, oldest: '' }]
      : []),
  ]
  const sum = (pick: 'count' | 'bytes') => lines.reduce((total, line) => total + line[pick], 0)
  return (
    <table className="held-table">
      <thead>
        <tr>
          <th scope="col">{t('heldFor')}</th>
          <th scope="col">
            <span className="visually-hidden">{t('heldItems')}</span>
          </th>
          <th scope="col">{t('heldSize')}</th>
          <th scope="col">{t('heldOldest')}</th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.key}>
            <th scope="row">{line.name}</th>
            <td>{t.count('heldCount', line.count)}</td>
            <td title={exactSize(line.bytes, t)}>{readableSize(line.bytes, t)}</td>
            <td>{line.oldest}</td>
          </tr>
        ))}
      </tbody>
      {lines.length > 1 && (
        <tfoot>
          <tr>
            <th scope="row">{t('heldTotal')}</th>
            <td>{t.count('heldCount', sum('count'))}</td>
            <td title={exactSize(sum('bytes'), t)}>{readableSize(sum('bytes'), t)}</td>
            <td />
          </tr>
        </tfoot>
      )}
    </table>
  )
}

function Nothing({ text }: { text: string }) {
  return (
    <p className="held-nothing" role="status">
      <CheckIcon /> {text}
    </p>
  )
}
