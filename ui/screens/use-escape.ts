/** The Escape key, wherever the focus is: also when what held it has just gone. */
import { useEffect } from 'react'

export function useEscape(active: boolean, act: () => void): void {
  useEffect(() => {
    if (!active) return
    const heard = (event: KeyboardEvent) => {
      if (event.key === 'Escape') act()
    }
    addEventListener('keydown', heard)
    return () => removeEventListener('keydown', heard)
  }, [active, act])
}
