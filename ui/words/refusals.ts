/**
 * The device gives its reasons as a code and an English sentence. Those a person meets most are said
 * here in the window's language; for any other the device's own sentence stands.
 */
import type { Refusal } from '../../src/node/contract.js'
import type { Words } from './words.js'

const polish: Readonly<Record<string, string>> = {
  'wrong-pin': 'PIN się nie zgadza albo to nie jest Twoje urządzenie.',
  'no-window': 'Żadne urządzenie nie czeka na nowe. Wybierz „Dodaj urządzenie” na włączonym urządzeniu.',
  unreachable:
    'Brak połączenia ze skrzynką w chmurze. Wszystko jest zapisane tutaj i zostanie wysłane automatycznie.',
  'relay-changed': 'Pod tym adresem odpowiada inny przekaźnik. Nic nie zostało wysłane. Zapytaj operatora.',
  'disk-full': 'Dysk jest pełny. Dotychczasowe zmiany są bezpieczne; edycja jest wstrzymana.',
  'device-stopped': 'Program zamknął się, zanim odpowiedział.',
  internal: 'Stało się coś nieoczekiwanego. Nic nie przepadło.',
}

export function refusalSentence(t: Words, refusal: Refusal | null): string {
  if (!refusal) return t('linkFailed')
  if (t.language === 'pl') return polish[refusal.code] ?? refusal.sentence
  return refusal.sentence || t('refusalUnknown')
}
