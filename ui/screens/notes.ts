/** Short notes at the foot of the window. */
import { notifications } from '@mantine/notifications'
import type { ReactNode } from 'react'
import { refusalOf } from '../state/client.js'
import { refusalSentence } from '../words/refusals.js'
import type { Words } from '../words/words.js'

export function say(t: Words, message: ReactNode, id?: string): void {
  const closeButtonProps = { 'aria-label': t('close') }
  if (id) notifications.hide(id)
  notifications.show({
    ...(id ? { id } : {}),
    message,
    closeButtonProps,
    withBorder: true,
    className: 'note',
  })
}

export function sayRefusal(t: Words, error: unknown): void {
  say(t, refusalSentence(t, refusalOf(error)))
}
