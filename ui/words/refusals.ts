/**
 * The device gives its reasons as a code and an English sentence. Those a person meets are said here in
 * Polish; for any other the device's own sentence stands.
 */
import type { Refusal } from '../../src/node/contract.js'
import type { Words } from './words.js'

const polish: Readonly<Record<string, string>> = {
  'wrong-pin': 'PIN się nie zgadza albo to nie jest Twoje urządzenie.',
  closed: 'Żadne urządzenie nie czeka na nowe. Wybierz „Dodaj urządzenie” na włączonym urządzeniu.',
  busy: 'Trwa już dołączanie urządzenia. Spróbuj za chwilę.',
  tries: 'Okno zamknięto po zbyt wielu błędnych PIN-ach.',
  expired: 'Czas minął i nikt nie dołączył.',
  cancelled: 'Okno zamknięto, zanim ktoś dołączył.',
  unreachable:
    'Brak połączenia ze skrzynką w chmurze. Wszystko jest zapisane tutaj i zostanie wysłane automatycznie.',
  'relay-changed': 'Pod tym adresem odpowiada inny przekaźnik. Nic nie zostało wysłane. Zapytaj operatora.',
  'not-a-code': 'To nie jest kod kartoteki. Ma on 18 znaków w trzech grupach po sześć.',
  'code-mistyped': 'W kodzie kartoteki jest pomyłka. Porównaj go z drugim urządzeniem.',
  'bad-address': 'Adres jest nieprawidłowy.',
  'too-long': 'To jest zbyt długie jak na zaproszenie.',
  'bad-name': 'Ta nazwa jest zbyt długa albo pusta.',
  'has-practice': 'To urządzenie należy już do kartoteki.',
  'no-practice': 'Nie ma tu jeszcze kartoteki. Utwórz ją albo dołącz do swoich urządzeń.',
  'no-case': 'Tej sprawy nie ma na tym urządzeniu.',
  'disk-full': 'Dysk jest pełny. Dotychczasowe zmiany są bezpieczne; edycja jest wstrzymana.',
  'disk-failed': 'Dysk odmówił zapisu. Dotychczasowe zmiany są bezpieczne; edycja jest wstrzymana.',
  'store-damaged': 'Zapisane dane są uszkodzone. Inne urządzenie może je przywrócić.',
  'device-stopped': 'Program zamknął się, zanim odpowiedział.',
  internal: 'Stało się coś nieoczekiwanego. Nic nie przepadło.',
}

export function refusalSentence(t: Words, refusal: Refusal | null): string {
  if (!refusal) return t('linkFailed')
  const known = t.language === 'pl' ? polish[refusal.code] : undefined
  if (known === undefined) return refusal.sentence || t('refusalUnknown')
  // How many tries are left stands only in the device's sentence.
  const left = refusal.code === 'wrong-pin' ? /\d+/.exec(refusal.sentence) : null
  return left ? `${known} ${t.count('triesLeft', Number(left[0]))}.` : known
}

/** What is wrong with a chosen PIN; the device's sentences, by the words in them. */
const polishPinFaults: readonly (readonly [RegExp, string])[] = [
  [/at least/, 'PIN ma co najmniej sześć znaków.'],
  [/at most/, 'Ten PIN jest zbyt długi.'],
  [/repeated/, 'Jeden powtórzony znak zbyt łatwo odgadnąć.'],
  [/in a row/, 'Znaki po kolei, jak 123456, zbyt łatwo odgadnąć.'],
  [/practice name/, 'PIN nie może być nazwą kartoteki.'],
]

export function pinFaultSentence(t: Words, sentence: string | null): string {
  const known =
    t.language === 'pl' && sentence ? polishPinFaults.find(([words]) => words.test(sentence)) : null
  return known?.[1] ?? sentence ?? t('refusalUnknown')
}
