/** Adding, for those who click everything twice: the second click of a double click adds nothing. */
import type { MouseEvent } from 'react'

export function firstClick(act: () => void): (event: MouseEvent) => void {
  return (event) => {
    if (event.detail < 2) act()
  }
}
