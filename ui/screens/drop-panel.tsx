/** A small panel that opens below its button, and closes with Escape or a click beside it. */
import { Popover } from '@mantine/core'
import { type ReactElement, type ReactNode, useCallback } from 'react'
import { useEscape } from './use-escape.js'

interface DropPanelProps {
  opened: boolean
  setOpened: (opened: boolean) => void
  side: 'start' | 'end'
  /** In pixels, where the window has room for it. */
  widest: number
  className: string
  button: ReactElement
  children: ReactNode
}

export function DropPanel({ opened, setOpened, ...props }: DropPanelProps) {
  useEscape(
    opened,
    useCallback(() => setOpened(false), [setOpened]),
  )
  return (
    <Popover
      opened={opened}
      onChange={setOpened}
      position={`bottom-${props.side}`}
      width={`min(${props.widest}px, calc(100vw - 16px))`}
      offset={6}
      shadow="lg"
      radius={12}
      trapFocus
      returnFocus
      transitionProps={{ duration: 80 }}
    >
      <Popover.Target>{props.button}</Popover.Target>
      <Popover.Dropdown className={props.className}>{props.children}</Popover.Dropdown>
    </Popover>
  )
}
