/** The focus goes along where one control takes another's place, so that the keyboard stays where it was. */
import { type RefObject, useEffect, useRef } from 'react'

/** What the returned ref holds takes the focus when `state` changes: what it marks as first, else its first control. */
export function useFocusAlong<Place extends HTMLElement>(state: unknown): RefObject<Place | null> {
  const place = useRef<Place>(null)
  const before = useRef(state)
  useEffect(() => {
    if (before.current === state) return
    before.current = state
    const find = (which: string) => place.current?.querySelector<HTMLElement>(which)
    const first = find('[data-autofocus]') ?? find('input, select, button')
    first?.focus()
  }, [state])
  return place
}
