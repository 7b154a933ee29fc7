/** "Sync now", with its outcome in one sentence. */
import { useState } from 'react'
import { connected } from '../state/client.js'
import type { Words } from '../words/words.js'
import { useSurroundings } from './context.js'
import { say, sayRefusal } from './notes.js'

export interface Sync {
  busy: boolean
  run: () => void
}

export function useSync(): Sync {
  const { t, data } = useSurroundings()
  const [busy, setBusy] = useState(false)
  const run = async () => {
    setBusy(true)
    try {
      const { sent, received } = await connected(data.link).sync()
      say(t, syncSentence(t, sent, received), 'sync')
      data.refreshStatus()
    } catch (error) {
      sayRefusal(t, error)
    } finally {
      setBusy(false)
    }
  }
  return {
    busy,
    run: () => {
      if (!busy) void run()
    },
  }
}

function syncSentence(t: Words, sent: number, received: number): string {
  if (sent === 0 && received === 0) return t('syncDone')
  return t('syncDoneWith', { sent: t.count('syncSent', sent), received: t.count('syncReceived', received) })
}
