/** The few signs of the window, drawn with one pen. All of them are decoration: names stand beside. */
import type { ReactNode } from 'react'

function Icon({ children, size = 18 }: { children: ReactNode; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      focusable="false"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.7"
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      {children}
    </svg>
  )
}

export const LogoIcon = ({ size = 26 }: { size?: number }) => (
  <svg aria-hidden="true" focusable="false" width={size} height={size} viewBox="0 0 32 32">
    <rect width="32" height="32" rx="8" className="logo-ground" />
    <path
      d="M7 12.5a2 2 0 0 1 2-2h4l1.6 2H23a2 2 0 0 1 2 2V22a2 2 0 0 1-2 2H9a2 2 0 0 1-2-2z"
      className="logo-card"
    />
    <path d="M10.5 17h11M10.5 20h7" className="logo-lines" />
  </svg>
)
export const SearchIcon = () => (
  <Icon size={16}>
    <circle cx="11" cy="11" r="6.5" />
    <path d="m16 16 4.5 4.5" />
  </Icon>
)
export const PlusIcon = () => (
  <Icon size={16}>
    <path d="M12 5v14M5 12h14" />
  </Icon>
)
export const DrawerIcon = () => (
  <Icon>
    <rect x="3.5" y="5" width="17" height="14" rx="2.5" />
    <path d="M3.5 12h17M10 8.5h4M10 15.5h4" />
  </Icon>
)
export const CardsIcon = () => (
  <Icon>
    <path d="M6 4.5h12M4.8 8h14.4" />
    <rect x="3.5" y="11" width="17" height="9" rx="2" />
  </Icon>
)
export const ArchiveIcon = () => (
  <Icon>
    <rect x="3.5" y="4.5" width="17" height="4.5" rx="1.5" />
    <path d="M5 9v8.5a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V9M10 13h4" />
  </Icon>
)
export const TrashIcon = () => (
  <Icon>
    <path d="M4.5 6.5h15M9.5 6.5V5a1 1 0 0 1 1-1h3a1 1 0 0 1 1 1v1.5M6.5 6.5l.8 11.6a2 2 0 0 0 2 1.9h5.4a2 2 0 0 0 2-1.9l.8-11.6" />
  </Icon>
)
export const RestoreIcon = () => (
  <Icon>
    <path d="M4.5 9.5h9.5a5 5 0 0 1 0 10H9M4.5 9.5l4-4M4.5 9.5l4 4" />
  </Icon>
)
export const BackIcon = () => (
  <Icon size={20}>
    <path d="M19 12H5M11 6l-6 6 6 6" />
  </Icon>
)
export const DevicesIcon = () => (
  <Icon>
    <rect x="2.5" y="5" width="13" height="9.5" rx="1.8" />
    <path d="M6 18.5h6" />
    <rect x="16.5" y="9" width="5" height="10" rx="1.4" />
  </Icon>
)
export const CloudIcon = () => (
  <Icon>
    <path d="M7 18.5a4 4 0 0 1-.6-7.95 5.6 5.6 0 0 1 10.9 1.2A3.4 3.4 0 0 1 17 18.5z" />
  </Icon>
)
export const CloudBusyIcon = () => (
  <Icon>
    <path d="M7 18.5a4 4 0 0 1-.6-7.95 5.6 5.6 0 0 1 10.9 1.2A3.4 3.4 0 0 1 17 18.5z" />
    <path className="cloud-arrow" d="M12 16v-4.2M10.2 13.4 12 11.6l1.8 1.8" />
  </Icon>
)
export const CloudOffIcon = () => (
  <Icon>
    <path d="M7 18.5a4 4 0 0 1-.6-7.95 5.6 5.6 0 0 1 10.9 1.2A3.4 3.4 0 0 1 17 18.5z" />
    <path d="M4 4l16 16" />
  </Icon>
)
export const ChevronIcon = () => (
  <Icon size={14}>
    <path d="m9 6 6 6-6 6" />
  </Icon>
)
export const CheckIcon = () => (
  <Icon size={16}>
    <path d="m5 12.5 4.5 4.5L19 7.5" />
  </Icon>
)
export const PencilIcon = () => (
  <Icon size={16}>
    <path d="M4.5 19.5l1-4L16 5a1.8 1.8 0 0 1 2.5 0l.5.5A1.8 1.8 0 0 1 19 8L8.5 18.5z" />
  </Icon>
)
export const SyncIcon = () => (
  <Icon size={14}>
    <path d="M19.5 12a7.5 7.5 0 0 1-13.4 4.6M4.5 12a7.5 7.5 0 0 1 13.4-4.6M18.5 3.5v4h-4M5.5 20.5v-4h4" />
  </Icon>
)
export const WarningIcon = () => (
  <Icon size={16}>
    <path d="M12 4.5 21 19.5H3zM12 10.5v4M12 17v.1" />
  </Icon>
)
export const ClockIcon = () => (
  <Icon size={16}>
    <circle cx="12" cy="12" r="8" />
    <path d="M12 8v4.5l2.8 1.8" />
  </Icon>
)
export const SealIcon = () => (
  <Icon>
    <rect x="5" y="10.5" width="14" height="9.5" rx="2" />
    <path d="M8.5 10.5V8a3.5 3.5 0 0 1 7 0v2.5" />
  </Icon>
)
