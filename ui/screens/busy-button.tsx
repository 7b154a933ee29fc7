/** A button whose work is under way: it says so and takes no second click, but keeps the focus. */
import { Button, type ButtonProps, Loader } from '@mantine/core'
import type { ComponentPropsWithoutRef } from 'react'

type Props = ButtonProps & Omit<ComponentPropsWithoutRef<'button'>, keyof ButtonProps> & { busy: boolean }

export function BusyButton({ busy, leftSection, onClick, ...others }: Props) {
  return (
    <Button
      {...others}
      aria-busy={busy}
      data-busy={busy || undefined}
      leftSection={busy ? <Loader size={14} color="currentColor" aria-hidden="true" /> : leftSection}
      onClick={(event) => {
        if (!busy) onClick?.(event)
      }}
    />
  )
}
