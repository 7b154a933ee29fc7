/**
 * The device gives its reasons as a code and an English sentence. Those a person meets are said here in
 * Polish; for any other the device's own sentence stands. What changes from case to case (a name in
 * quotes, the first number) stands only in the device's sentence and is taken from there.
 */
import type { Refusal } from '../../src/node/contract.js'
import type { Words } from './words.js'

const unreachable =
  'Brak połączenia ze skrzynką w chmurze. Wszystko jest zapisane tutaj i zostanie wysłane automatycznie.'
const damagedFile =
  'Plik jest uszkodzony albo niepełny. To, co dało się odczytać, zostało przyjęte; zapisz go ponownie na drugim urządzeniu.'
const notACarryFile = 'To nie jest plik ze zmianami.'

const polish: Readonly<Record<string, string>> = {
  'wrong-pin': 'PIN się nie zgadza albo to nie jest Twoje urządzenie.',
  closed: 'Żadne urządzenie nie czeka na nowe. Wybierz „Dodaj urządzenie” na włączonym urządzeniu.',
  busy: 'Trwa już dołączanie urządzenia. Spróbuj za chwilę.',
  tries: 'Okno zamknięto po zbyt wielu błędnych PIN-ach.',
  expired: 'Czas minął i nikt nie dołączył.',
  cancelled: 'Okno zamknięto, zanim ktoś dołączył.',
  'not-a-code': 'To nie jest kod kartoteki. Ma on 18 znaków w trzech grupach po sześć.',
  'code-mistyped': 'W kodzie kartoteki jest pomyłka. Porównaj go z drugim urządzeniem.',
  'bad-address': 'Adres jest nieprawidłowy.',
  'too-long': 'To jest zbyt długie jak na zaproszenie.',
  'bad-name': 'Ta nazwa jest zbyt długa albo pusta.',
  'other-practice': 'Urządzenie, które odpowiedziało, należy do innej kartoteki. Porównaj kod kartoteki.',
  'used-up': 'Zbyt wiele błędnych PIN-ów. Wybierz ponownie „Dodaj urządzenie” na drugim urządzeniu.',
  'not-mine': 'Na drugim urządzeniu odmówiono dodania tego urządzenia.',
  'timed-out': 'Drugie urządzenie zbyt długo nie odpowiadało. Spróbuj ponownie.',
  lost: 'Utracono połączenie z drugim urządzeniem. Spróbuj ponownie: nic nie zostanie dodane dwa razy.',
  'too-old': 'Ta wersja programu Kartoteka jest za stara dla drugiego urządzenia. Zaktualizuj ją.',
  'too-new': 'Drugie urządzenie ma starszą wersję programu Kartoteka. Zaktualizuj ją tam.',
  malformed: 'Drugie urządzenie przysłało coś niezrozumiałego. Niczego nie zmieniono.',
  failed: 'Nie udało się. Niczego nie zmieniono; spróbuj ponownie.',
  'nobody-asks': 'Żadne urządzenie nie czeka na odpowiedź.',
  'no-device': 'Tego urządzenia nie ma już w kartotece.',
  'has-practice': 'To urządzenie należy już do kartoteki.',
  'no-practice': 'Nie ma tu jeszcze kartoteki. Utwórz ją albo dołącz do swoich urządzeń.',
  'no-case': 'Tej sprawy nie ma na tym urządzeniu.',
  'not-accepted': 'Tej zmiany nie przyjęto. Być może tego, czego dotyczy, już nie ma.',
  'too-large': 'Jedna zmiana może mieć najwyżej 16 MB i 50 000 usunięć. Niczego nie zmieniono.',
  'case-full': 'Ta sprawa jest pełna: może mieć najwyżej 20 MB. Niczego nie zmieniono.',
  'no-relay': 'Wpisz adres przekaźnika.',
  'last-relay':
    'To jedyny adres skrzynki w chmurze. Dodaj najpierw inny albo wyłącz skrzynkę na wszystkich urządzeniach.',
  'too-many-relays': 'Kartoteka może mieć najwyżej tyle adresów skrzynki w chmurze: {n}.',
  'unknown-relay': 'Kartoteka nie ma już tego adresu.',
  'pin-too-short': 'PIN ma co najmniej sześć znaków.',
  'pin-too-long': 'Ten PIN jest zbyt długi.',
  'pin-repeated': 'Jeden powtórzony znak zbyt łatwo odgadnąć.',
  'pin-run': 'Znaki po kolei, jak 123456, zbyt łatwo odgadnąć.',
  'pin-practice-name': 'PIN nie może być nazwą kartoteki.',
  'pin-chosen': 'PIN chmury jest już wybrany.',
  'device-stopped': 'Program zamknął się, zanim odpowiedział.',
  internal: 'Stało się coś nieoczekiwanego. Nic nie przepadło.',

  // The cloud mailbox
  unreachable,
  'relay-unreachable': unreachable,
  'relay-changed': 'Pod tym adresem odpowiada inny przekaźnik. Nic nie zostało wysłane. Zapytaj operatora.',
  'relay-refused': 'Skrzynka w chmurze nie przyjmuje tej kartoteki. Zapytaj operatora.',
  'relay-withholding':
    'Skrzynka w chmurze nie oddaje wszystkiego, co przyjęła. Nic nie przepadło: inne urządzenia wyślą to ponownie. Zapytaj operatora.',
  'mailbox-full':
    'Skrzynka w chmurze jest pełna. Wszystko jest zapisane tutaj i zostanie wysłane, gdy inne urządzenia odbiorą swoje przesyłki.',

  // A file carried here
  'file-unreadable': 'Pliku nie da się już odczytać. Wybierz go ponownie.',
  'not-a-carry-file': notACarryFile,
  'carry-not-a-file': notACarryFile,
  'carry-damaged': damagedFile,
  'carry-truncated': damagedFile,
  'carry-other-practice': 'Ten plik pochodzi z innej kartoteki.',
  'carry-version': 'Ten plik zapisano w nowszej wersji programu. Zaktualizuj program na tym urządzeniu.',
  'carry-newer':
    'Ten plik zapisano po dodaniu urządzeń, których to urządzenie jeszcze nie zna. Połącz je raz, a potem spróbuj ponownie.',
  'carry-incomplete':
    'Spraw nie udało się zapisać w pliku: to, co w tym czasie nadeszło, budzi wątpliwości. Spróbuj ponownie.',
  'carry-gap':
    'Część tego pliku opiera się na zmianach, których to urządzenie nie ma; reszta została przyjęta. Przenieś plik z tego urządzenia na drugie, a potem z powrotem.',
  'carry-too-large': 'Ten plik jest zbyt duży.',

  // Problems that the status names
  'disk-full': 'Dysk jest pełny. Dotychczasowe zmiany są bezpieczne; edycja jest wstrzymana.',
  'disk-failed': 'Dysk odmówił zapisu. Dotychczasowe zmiany są bezpieczne; edycja jest wstrzymana.',
  'store-rotten':
    'Część zapisanych danych jest uszkodzona. Uruchom program ponownie: wtedy zostaną uporządkowane.',
  'store-repaired':
    'Część zapisanych danych była uszkodzona. Jest tu wszystko, co dało się odczytać; resztę przesyłają inne urządzenia, jeśli ją mają.',
  'store-damaged': 'Część zapisanych danych jest uszkodzona. Inne urządzenie prześle je ponownie.',
  'newer-store': 'Zapisano w nowszej wersji. Do czasu aktualizacji tylko do odczytu.',
  'fork-healed': 'To urządzenie uruchomiono ze starszej kopii. Zmiany uporządkowano; nic nie przepadło.',
  removed: 'To urządzenie odłączono. Sprawy można na nim tylko czytać.',
  contested: 'Dwa urządzenia nie zgadzają się, kto należy do kartoteki. Zdecyduj na każdym z nich.',
  'left-out':
    'Liczy się teraz inna lista urządzeń, a tego jeszcze na niej nie ma. Połącz je z urządzeniem, które je dodało.',
  'pin-guesses': 'Ktoś próbował odgadnąć PIN chmury. Jeśli to nie Ty, zmień PIN.',
  'safety-copy-stale':
    'Kopia ratunkowa nie jest aktualna. Zaktualizuje się po połączeniu ze skrzynką w chmurze.',
  'peer-too-old': 'Urządzenie „{name}” ma starszą wersję programu. Zaktualizuj ją tam.',
  'peer-too-new': 'Urządzenie „{name}” ma nowszą wersję programu. Zaktualizuj ją tutaj.',
}

export function refusalSentence(t: Words, refusal: Refusal | null): string {
  if (!refusal) return t('linkFailed')
  const { code, sentence } = refusal
  const known = t.language === 'pl' ? polish[code] : undefined
  const translated = known === undefined ? null : filledFrom(known, sentence)
  if (translated === null) return sentence ? curly(sentence) : t('refusalUnknown')
  const left = code === 'wrong-pin' ? /\d+/.exec(sentence) : null
  return left ? `${translated} ${t.count('triesLeft', Number(left[0]))}.` : translated
}

/** The device writes straight quotes; the window's are curly. */
export function curly(sentence: string): string {
  return sentence.replace(/"([^"]*)"/g, '“$1”')
}

/** The template with the name in quotes and the number that the device's sentence holds; null if it lacks one. */
export function filledFrom(template: string, sentence: string): string | null {
  const values: Record<string, string | undefined> = {
    name: /["“„]([^"”]+)["”]/.exec(sentence)?.[1],
    n: /\d+/.exec(sentence)?.[0],
  }
  let whole = true
  const filled = template.replace(/\{(name|n)\}/g, (_, key: string) => {
    const value = values[key]
    if (value === undefined) whole = false
    return value ?? ''
  })
  return whole ? filled : null
}

/** What is wrong with a chosen PIN; the device's sentences, by the words in them. */
const polishPinFaults: readonly (readonly [RegExp, string])[] = [
  [/at least/, polish['pin-too-short']!],
  [/at most/, polish['pin-too-long']!],
  [/repeated/, polish['pin-repeated']!],
  [/in a row/, polish['pin-run']!],
  [/practice name/, polish['pin-practice-name']!],
]

export function pinFaultSentence(t: Words, sentence: string | null): string {
  return byWords(t, sentence, polishPinFaults) ?? sentence ?? t('refusalUnknown')
}

/** Why a relay isn't connected; its sentences, too, come without a code. */
const polishRelayTroubles: readonly (readonly [RegExp, string])[] = [
  [/different relay|another relay/i, polish['relay-changed']!],
  [/address/i, polish['bad-address']!],
  [/full/i, polish['mailbox-full']!],
  [/refus|doesn.t (know|accept|take)/i, polish['relay-refused']!],
  [/withh|gave back|doesn.t give/i, polish['relay-withholding']!],
]

/** What a test of an address showed, when it failed. */
export function testSentence(t: Words, sentence: string): string {
  if (/reached|no answer|timed? ?out/i.test(sentence)) return t('relaySilent')
  return byWords(t, sentence, polishRelayTroubles) ?? (t.language === 'pl' ? t('relaySilent') : sentence)
}

/** Why a relay isn't connected. */
export function relaySentence(t: Words, sentence: string): string {
  return byWords(t, sentence, polishRelayTroubles) ?? (t.language === 'pl' ? unreachable : sentence)
}

function byWords(
  t: Words,
  sentence: string | null,
  known: readonly (readonly [RegExp, string])[],
): string | null {
  if (t.language !== 'pl' || !sentence) return null
  return known.find(([words]) => words.test(sentence))?.[1] ?? null
}
