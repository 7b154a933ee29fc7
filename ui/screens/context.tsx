/** What every screen may use: the words, the device, the open cases. */
import { createContext, type ReactNode, useContext, useSyncExternalStore } from 'react'
import type { CaseDocs } from '../editor/case-doc.js'
import type { DeviceData } from '../state/device-data.js'
import type { Store } from '../state/store.js'
import type { Words } from '../words/words.js'

/** One pane at a time; also in the style sheets. */
export const narrowWindow = '(max-width: 46em)'

interface Surroundings {
  t: Words
  data: DeviceData
  docs: CaseDocs
}

const Context = createContext<Surroundings | null>(null)

export function Provide({ children, ...value }: Surroundings & { children: ReactNode }) {
  return <Context value={value}>{children}</Context>
}

export function useSurroundings(): Surroundings {
  const value = useContext(Context)
  if (!value) throw new Error('This screen stands outside of the window.')
  return value
}

export function useWords(): Words {
  return useSurroundings().t
}

/** The part of a store that `pick` takes; it must give the same object for the same state. */
export function useStore<T, P = T>(
  store: Store<T>,
  pick: (value: T) => P = (value) => value as unknown as P,
): P {
  return useSyncExternalStore(store.subscribe, () => pick(store.get()))
}
