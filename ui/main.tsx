/** The window: takes the link up, then draws whatever the device says. */
import '@mantine/core/styles.css'
import '@mantine/notifications/styles.css'
import 'virtual:theme.css'
import './styles.css'
import './sync.css'
import { createRoot } from 'react-dom/client'
import { CaseDocs } from './editor/case-doc.js'
import { openLink, takeCode } from './link.js'
import { App } from './screens/app.js'
import { DeviceData } from './state/device-data.js'

const link = openLink(takeCode())
const data = new DeviceData(link, () => {
  link.stopping()
  docs.sendNow()
})
const docs = new CaseDocs(link, (id) => data.wrote(id))

/** A field takes what is in it, as a part of a date or a word that is still composed, when it is left. */
const leaveField = () => {
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
  data.saver.flushAll()
}

// What was typed a moment ago goes out before the window closes; if it can't, the browser asks first.
addEventListener('pagehide', () => {
  leaveField()
  docs.sendNow()
})
addEventListener('visibilitychange', () => data.saver.flushAll())
addEventListener('beforeunload', (event) => {
  leaveField()
  if (data.saver.unsaved() || docs.unsaved()) event.preventDefault()
})

// The browser would save the page, with what stands in it, as a file that anyone can read.
addEventListener('keydown', (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== 's') return
  event.preventDefault()
  data.saver.flushAll()
})

// A fresh address put into this very tab changes only its fragment: begin anew with it.
addEventListener('hashchange', () => {
  if (location.hash.length > 1) location.reload()
})

const root = document.getElementById('root')
if (root) createRoot(root).render(<App data={data} docs={docs} />)
