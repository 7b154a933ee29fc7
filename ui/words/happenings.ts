/** What happened on the device, in sentences: the device's own in English, those known by their code in Polish. */
import { curly, filledFrom } from './refusals.js'
import type { Words } from './words.js'

const polish: Readonly<Record<string, string>> = {
  'device-added': 'Dodano urządzenie „{name}”.',
  'device-removed': 'Odłączono urządzenie „{name}”.',
  'device-renamed': 'Zmieniono nazwę urządzenia na „{name}”.',
  'pairing-failed': 'Nie dodano urządzenia.',
  'fork-healed': 'To urządzenie uruchomiono ze starszej kopii. Zmiany uporządkowano; nic nie przepadło.',
  'copy-enrolled': 'To kopia danych innego urządzenia. Teraz jest osobnym urządzeniem: „{name}”.',
  'case-lost': 'Uszkodzonej sprawy nie dało się odczytać, a żadne inne urządzenie nie mogło jej przesłać.',
  'case-found': 'Uszkodzoną sprawę złożono na nowo. Przejrzyj ją: może brakować jej części.',
  'case-waiting':
    'Coś dopisano w sprawie, która była uszkodzona, i nie da się tego tutaj pokazać: brakuje jej wcześniejszej treści. Poszukaj tej sprawy na innych urządzeniach.',
  'letters-lost': 'Urządzenie zatrzymano w trakcie pisania. Może brakować ostatnich liter.',
  'pin-chosen': 'Wybrano PIN chmury.',
  'mailbox-on': 'Włączono skrzynkę w chmurze na tym urządzeniu.',
  'mailbox-off': 'Wyłączono skrzynkę w chmurze na tym urządzeniu.',
  'relay-connected': 'Połączono ze skrzynką w chmurze.',
  'relay-lost': 'Utracono połączenie ze skrzynką w chmurze.',
  'relay-unreachable': 'Brak połączenia ze skrzynką w chmurze.',
  'relay-changed': 'Pod tym adresem odpowiada inny przekaźnik. Nic nie zostało wysłane.',
  'relay-restored': 'Skrzynka w chmurze zaczyna od starszej kopii. Brakujące przesyłki wysłano ponownie.',
  'relay-withholding': 'Skrzynka w chmurze nie oddaje wszystkiego, co przyjęła.',
  'mailbox-full': 'Skrzynka w chmurze jest pełna.',
  'carried-out': 'Zapisano plik ze zmianami.',
  'carried-in': 'Przyjęto plik ze zmianami.',
}

/** `text` is the device's sentence for the event with this code. */
export function happeningSentence(t: Words, { code, text }: { code: string; text: string }): string {
  const known = t.language === 'pl' ? polish[code] : undefined
  return (known === undefined ? null : filledFrom(known, text)) ?? curly(text)
}
