/** The practice code in large letters, the invitation as a QR code, and a button that copies it. */
import { Button } from '@mantine/core'
import { useEffect, useMemo, useState } from 'react'
import { encode } from 'uqr'
import { useWords } from './context.js'

/** Modules of quiet around the code: the standard asks for four. */
const quiet = 4
const copiedMs = 2500

export function PracticeCode({ code, invitation }: { code: string; invitation: string }) {
  const t = useWords()
  return (
    <div className="practice-code">
      <output className="code" aria-label={t('practiceCode')}>
        {code}
      </output>
      <div className="invitation">
        <QrCode text={invitation} name={t('qrName')} />
        <div className="invitation-side">
          <p className="small dim">{t('invitationText')}</p>
          <p className="invitation-text">{invitation}</p>
          <CopyButton text={invitation} />
        </div>
      </div>
    </div>
  )
}

/** Dark modules on white in both themes: that is what cameras read. */
function QrCode({ text, name }: { text: string; name: string }) {
  const { path, size } = useMemo(() => drawn(text), [text])
  return (
    <svg
      className="qr"
      role="img"
      aria-label={name}
      viewBox={`0 0 ${size} ${size}`}
      shapeRendering="crispEdges"
    >
      <path d={path} />
    </svg>
  )
}

/** One horizontal stroke for each run of dark modules. */
function drawn(text: string): { path: string; size: number } {
  const { data, size } = encode(text, { ecc: 'M', border: quiet })
  const runs = data.flatMap((row, y) =>
    row.flatMap((dark, x) => {
      if (!dark || row[x - 1]) return []
      const end = row.indexOf(false, x)
      return [`M${x} ${y}h${(end < 0 ? size : end) - x}v1H${x}z`]
    }),
  )
  return { path: runs.join(''), size }
}

function CopyButton({ text }: { text: string }) {
  const t = useWords()
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), copiedMs)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = async () => {
    await navigator.clipboard.writeText(text)
    setCopied(true)
  }
  return (
    <>
      <Button size="compact-sm" variant="light" onClick={() => void copy().catch(() => {})}>
        {copied ? t('copied') : t('copy')}
      </Button>
      <span className="visually-hidden" role="status">
        {copied ? t('copied') : ''}
      </span>
    </>
  )
}
