/** Colours and measures: warm paper, dark ink, one green. Also read by the build (see vite.config.ts). */
import { createTheme, type MantineColorsTuple } from '@mantine/core'

const ink: MantineColorsTuple = [
  '#eef6f4',
  '#dcebe7',
  '#b6d6cf',
  '#8cbfb5',
  '#66aa9d',
  '#479588',
  '#2f7d71',
  '#22675d',
  '#1a544c',
  '#12403a',
]
const gray: MantineColorsTuple = [
  '#faf8f4',
  '#f3f0ea',
  '#e9e4db',
  '#dcd6ca',
  '#c9c2b4',
  '#a8a092',
  '#6b655a',
  '#544f46',
  '#38342e',
  '#23211d',
]
const dark: MantineColorsTuple = [
  '#ece8e0',
  '#d3cdc2',
  '#aaa395',
  '#7d766a',
  '#48443d',
  '#38352f',
  '#2b2925',
  '#211f1c',
  '#191816',
  '#121110',
]

const fontFamily = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"

export const theme = createTheme({
  colors: { ink, gray, dark },
  primaryColor: 'ink',
  primaryShade: { light: 7, dark: 6 },
  defaultRadius: 8,
  fontFamily,
  headings: { fontFamily, fontWeight: '600' },
  cursorType: 'pointer',
  respectReducedMotion: true,
  focusRing: 'auto',
  components: {
    // A browser puts down what stands in a field, to show it again after a crash: not where it is told not to.
    TextInput: { defaultProps: { autoComplete: 'off' } },
    NativeSelect: { defaultProps: { autoComplete: 'off' } },
  },
})
