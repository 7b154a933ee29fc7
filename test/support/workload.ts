/**
 * Cases for tests and benches, made from an index and a seed: the same two numbers, the same bytes everywhere.
 * Plain cases hold what every system can hold, full ones everything that a case can.
 */
import { type Random, seeded } from './random.js'

type Mark = [number, number, string | { link: string }]
type Block = [number, string]

interface RichText {
  text: string
  marks: Mark[]
  blocks?: Block[]
}

export interface WorkloadCase {
  id: string
  patient: Record<string, string>
  consultations: ({ id: string; date: string; kind: string } & RichText)[]
  prescriptions: { id: string; date: string; remedy: string; potency: string; dose: string; note: string }[]
  tags: string[]
  archived: boolean
  createdAt: string
  updatedAt: string
  description?: RichText
  drawer?: string
  analyses?: {
    id: string
    date: string
    title: string
    symptoms: { id: string; text: string; rubrics: string[] }[]
  }[]
  followUp?: string
  consent?: { date: string; note: string }
}

export type WorkloadKind = 'plain' | 'full'

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
const DRAWERS = ['Patients', 'Colleagues', 'Study', 'Seminars', 'Other', 'Żłobek №2']

/** A file of `count` cases, one JSON value a line. */
export function workloadLines(count: number, seed = 42, kind: WorkloadKind = 'plain'): string {
  const make = kind === 'full' ? fullCase : plainCase
  return Array.from({ length: count }, (_, index) => `${JSON.stringify(make(index, seed))}\n`).join('')
}

/** `length` characters of prose in two languages. */
function prose(random: Random, length: number): string {
  let text = ''
  while (text.length < length) text += gap(random, text === '') + random.pick(WORDS)
  return text.slice(0, length)
}

function gap(random: Random, atStart: boolean): string {
  if (atStart) return ''
  if (random() >= 0.09) return ' '
  return random() < 0.3 ? '.\n' : '. '
}

export function plainCase(index: number, seed = 42): WorkloadCase {
  const random = seeded((seed * 2654435761 + index * 40503 + 7) >>> 0)
  const consultations = times(random.int(1, 12), (at) => {
    // Mostly short: 100 to 3,000 characters, about 900 in the mean.
    const length = Math.min(3000, 100 + Math.floor(random() ** 2.2 * 2900))
    return {
      id: `c${at}`,
      date: day(random, 2015, 2025),
      kind: at > 0 ? 'follow-up' : 'first',
      ...rich(random, length),
    }
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

export function fullCase(index: number, seed = 42): WorkloadCase {
  const made = plainCase(index, seed)
  const random = seeded((seed * 97 + index * 7919 + 3) >>> 0)
  if (random() < 0.5) made.description = { ...rich(random, random.int(50, 800)), blocks: [[0, 'h2']] }
  made.drawer = random.pick(DRAWERS)
  if (random() < 0.3) made.analyses = times(random.int(1, 3), (at) => analysis(random, at))
  if (random() < 0.2) made.followUp = day(random, 2026, 2027)
  if (random() < 0.3) made.consent = { date: day(random, 2018, 2025), note: prose(random, 30) }
  for (const consultation of made.consultations) embellish(random, consultation)
  return made
}

function analysis(random: Random, at: number) {
  return {
    id: `a${at}`,
    date: day(random, 2015, 2025),
    title: prose(random, 20),
    symptoms: times(random.int(1, 6), (symptom) => ({
      id: `s${symptom}`,
      text: prose(random, random.int(5, 60)),
      rubrics: times(random.int(0, 3), () => `Mind; ${prose(random, random.int(4, 30))}`),
    })),
  }
}

/** Emoji and right-to-left text, headings and lists, or a link: one of them, now and then. */
function embellish(random: Random, notes: RichText): void {
  const choice = random()
  if (choice < 0.1) {
    notes.text = `🌿 ${notes.text.slice(0, 40)} 👩🏽‍⚕️ שלום ${notes.text.slice(40)}`
    notes.marks = []
  } else if (choice < 0.2) {
    const lines = notes.text.split('\n').length
    notes.blocks = times(Math.min(lines, 3), (line) => [line, random.pick(['h2', 'ul', 'ol'])])
  } else if (choice < 0.25 && notes.text.length > 60 && notes.marks.length === 0) {
    notes.marks = [[10, 20, { link: 'https://example.org/a?b=1' }]]
  }
}

/** Prose with marks that don't overlap. */
function rich(random: Random, length: number): RichText {
  const text = prose(random, length)
  const marks: Mark[] = []
  for (let at = 0; ; ) {
    at += random.int(60, 500)
    const size = random.int(4, 30)
    if (at + size > text.length) return { text, marks }
    marks.push([at, at + size, random() < 0.7 ? 'bold' : 'italic'])
    at += size
  }
}

function day(random: Random, firstYear: number, lastYear: number): string {
  const two = (number: number) => String(number).padStart(2, '0')
  return `${random.int(firstYear, lastYear)}-${two(random.int(1, 12))}-${two(random.int(1, 28))}`
}

function times<T>(count: number, make: (at: number) => T): T[] {
  return Array.from({ length: count }, (_, at) => make(at))
}
