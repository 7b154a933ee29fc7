/**
 * The work that is measured, made from an index and a seed: the same two numbers, the same bytes everywhere.
 * Every draw of the generator counts: the order of the calls is part of the format.
 */

const WORDS =
  `pacjent zgłasza ból głowy od rana gorączka kaszel suchy wilgotny pragnienie brak łaknienia sen niespokojny
budzi się około trzeciej nad ranem lęk niepokój drażliwość płaczliwość pogorszenie poprawa ciepło zimno ruch
spoczynek świeże powietrze wiatr wilgoć słodycze sól tłuste mięso mleko jajka kwaśne żołądek wątroba nerki serce
płuca skóra wysypka świąd pieczenie kłucie ucisk pulsowanie tępy ostry promieniujący lewa prawa strona kończyny
stawy kręgosłup szyja plecy łokieć kolano dłoń stopa żylaki obrzęk potliwość noc dzień wieczór dzieciństwo
szczepienia operacja uraz przebyta choroba rodzina matka ojciec rodzeństwo zgryzota strata żałoba złość upokorzenie
przestrach praca stres zmęczenie wyczerpanie kontrola the patient reports improvement after remedy aggravation first
days then better modalities worse better motion rest cold warm thirst appetite sleep dreams mood weather chill fever
follow-up consultation dosage repeat wait observe potency constitution miasm totality symptom rubric repertory left
right side ascending descending periodic sudden gradual onset źródło późniejszy jaźń śródstopie niedźwiedź
gżegżółka pięćdziesiąt dziewięćset ćwiczenia łagodność ósmy ćma`.split(/\s+/)
const FIRST_NAMES =
  `Zofia Łucja Małgorzata Bożena Grażyna Wacław Paweł Michał Żaneta Świętosława Anna Jan Piotr Józef
Stanisław Katarzyna Agnieszka Tomasz Ewa Adam`.split(/\s+/)
const LAST_NAMES =
  `Kowalski Nowak Wiśniewska Wójcik Kamiński Lewandowska Zieliński Szymańska Woźniak Dąbrowski
Kozłowska Jankowski Mazur Wojciechowska Kwiatkowski Krawczyk Piotrowska Grabowski Źrebiec Żółć`.split(/\s+/)
const REMEDIES = [
  ...['Arnica montana', 'Belladonna', 'Bryonia alba', 'Calcarea carbonica', 'Lachesis muta', 'Lycopodium'],
  ...['Natrum muriaticum', 'Nux vomica', 'Phosphorus', 'Pulsatilla', 'Sepia', 'Silicea', 'Sulphur', 'Thuja'],
]
const TAGS = 'przewlekły ostry dziecko skóra sen lęk alergia migrena kontrola pilne online senior'.split(' ')
const POTENCIES = ['6C', '12C', '30C', '200C', '1M', 'LM1']
const DOSES = ['1x dziennie', '2x dziennie', 'jednorazowo', 'co 2 dni']
const FIELDS = ['phone', 'email', 'lastName', 'address']

/** Mulberry32 with two helpers. */
function seeded(seed) {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  random.int = (low, high) => low + Math.floor(random() * (high - low + 1))
  random.pick = (list) => list[Math.floor(random() * list.length)]
  return random
}

const times = (count, make) => Array.from({ length: count }, (_, at) => make(at))
const two = (number) => String(number).padStart(2, '0')
const day = (random, from, to) =>
  `${random.int(from, to)}-${two(random.int(1, 12))}-${two(random.int(1, 28))}`

/** `length` characters of prose in two languages. */
function prose(random, length) {
  let text = ''
  while (text.length < length) text += gap(random, text === '') + random.pick(WORDS)
  return text.slice(0, length)
}

function gap(random, atStart) {
  if (atStart) return ''
  if (random() >= 0.09) return ' '
  return random() < 0.3 ? '.\n' : '. '
}

/** Prose with marks that don't overlap. */
function rich(random, length) {
  const text = prose(random, length)
  const marks = []
  for (let at = 0; ; ) {
    at += random.int(60, 500)
    const size = random.int(4, 30)
    if (at + size > text.length) return { text, marks }
    marks.push([at, at + size, random() < 0.7 ? 'bold' : 'italic'])
    at += size
  }
}

/** One case in interchange form. */
export function makeCase(index, seed = 42) {
  const random = seeded((seed * 2654435761 + index * 40503 + 7) >>> 0)
  const consultations = times(random.int(1, 12), (at) => {
    // Mostly short: 100 to 3,000 characters, about 900 in the mean.
    const length = Math.min(3000, 100 + Math.floor(random() ** 2.2 * 2900))
    const kind = at > 0 ? 'follow-up' : 'first'
    return { id: `c${at}`, date: day(random, 2015, 2025), kind, ...rich(random, length) }
  })
  const count = random.int(0, 6)
  const prescriptions = times(count, (at) => ({
    id: `p${count - at}`,
    date: day(random, 2015, 2025),
    remedy: random.pick(REMEDIES),
    potency: random.pick(POTENCIES),
    dose: random.pick(DOSES),
    note: prose(random, random.int(10, 80)),
  }))
  const suffix = times(8, () => random.int(0, 15).toString(16)).join('')
  return {
    id: `case-${String(index).padStart(6, '0')}-${suffix}`,
    patient: {
      firstName: random.pick(FIRST_NAMES),
      lastName: random.pick(LAST_NAMES),
      birthDate: day(random, 1930, 2024),
      sex: random.pick(['F', 'M', 'X']),
      phone: `+48 ${random.int(500, 799)} ${random.int(100, 999)} ${random.int(100, 999)}`,
      email: `p${index}@example.pl`,
      address: `ul. ${random.pick(LAST_NAMES)} ${random.int(1, 200)}, 0${random.int(0, 9)}-${random.int(100, 999)} Łódź`,
    },
    consultations,
    prescriptions,
    tags: TAGS.filter(() => random() < 0.2),
    archived: random() < 0.15,
    createdAt: day(random, 2015, 2025),
    updatedAt: day(random, 2015, 2025),
  }
}

/** The cases' lines, one by one: 100,000 of them exceed the longest string. */
export function* caseLines(count, from = 0, seed = 42) {
  for (let index = from; index < count; index++) yield JSON.stringify(makeCase(index, seed))
}

/** Typing, letter by letter, in bursts: mostly insertion at a moving caret. An operation is [at, erase, insert]. */
function typing(count, seed) {
  const random = seeded(seed)
  const operations = []
  let length = 0
  let caret = 0
  let source = prose(random, 600)
  let next = 0
  while (operations.length < count) {
    const burst = random.int(8, 120)
    if (random() < 0.35) caret = random.int(0, length)
    for (let i = 0; i < burst && operations.length < count; i++) {
      if (random() < 0.11 && caret > 0) {
        caret--
        length--
        operations.push([caret, 1, ''])
        continue
      }
      if (next >= source.length) {
        source = prose(random, 600)
        next = 0
      }
      operations.push([caret, 0, source[next++]])
      caret++
      length++
    }
  }
  return operations
}

/** What is edited, beside the cases. */
export function makeEdits(seed = 42) {
  const random = seeded(seed + 99)
  const offline = times(3, (device) => times(200, (edit) => offlineEdit(random, device, edit)))
  return {
    seed,
    m3: { case: 17, cons: 0, text: ' Zmiana po synchronizacji: łagodna poprawa. ' },
    m4: typing(500, seed + 1),
    m7: typing(20000, seed + 2),
    m5: offline,
    m8: times(1000, () => ({
      case: random.int(0, 99),
      cons: 0,
      at: random(),
      text: prose(random, random.int(3, 40)),
    })),
    delete: [3, 5],
  }
}

/** One of 200 edits that each of three devices makes, offline, on 50 shared cases. */
function offlineEdit(random, device, edit) {
  const at = random.int(0, 49)
  const choice = random()
  if (choice < 0.55)
    return { op: 'type', case: at, cons: 0, at: random(), text: prose(random, random.int(5, 40)) }
  if (choice < 0.65) return { op: 'erase', case: at, cons: 0, at: random(), n: random.int(1, 12) }
  if (choice < 0.8)
    return { op: 'field', case: at, path: random.pick(FIELDS), value: prose(random, random.int(6, 24)) }
  if (choice < 0.9) {
    const date = day(random, 2025, 2026)
    const text = prose(random, random.int(100, 900))
    const value = { id: `d${device}e${edit}`, date, kind: 'follow-up', text, marks: [] }
    return { op: 'consultation', case: at, value }
  }
  if (choice < 0.95) return { op: 'tag', case: at, value: random.pick(TAGS) + device }
  return { op: 'archive', case: at, value: random() < 0.5 }
}
