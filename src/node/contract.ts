/**
 * The typed contract of the local link: everything a person can do with a device.
 * The window and the command line are its only two users; `router.ts` implements it.
 * Expected failures travel as `ORPCError` whose `data` is `{ code, sentence }`.
 */
import { eventIterator, oc } from '@orpc/contract'
import { z } from 'zod'

const id = z.string().min(1).max(200)
const sentence = z.object({ code: z.string(), sentence: z.string() })

/** Why something was refused: a stable code and the sentence a person reads. */
export type Refusal = z.infer<typeof sentence>

/** JSON of the case interchange, kept as text so that keys such as `__proto__` survive every hop. */
const caseText = z.string().max(64 * 1024 * 1024)

const row = z.object({
  id,
  name: z.string(),
  firstName: z.string(),
  lastName: z.string(),
  birthYear: z.number().nullable(),
  drawer: z.string().nullable(),
  archived: z.boolean(),
  deleted: z.boolean(),
  lateEdits: z.boolean(),
  conflicts: z.number(),
  lastConsultation: z.string().nullable(),
})
/** One line of the case list. */
export type CaseListRow = z.infer<typeof row>

const path = z.enum(['lan', 'direct', 'relayed', 'mailbox', 'none'])
const deviceStatus = z.object({
  id: z.string(),
  name: z.string(),
  self: z.boolean(),
  path,
  connected: z.boolean(),
  lastSeen: z.number().nullable(),
  upToDate: z.boolean(),
  behind: z.number(),
  /** This device uses the cloud mailbox. */
  collectsMail: z.boolean(),
})
/** One device of the practice as `status` shows it; `behind` counts changes it is not known to hold. */
export type DeviceStatus = z.infer<typeof deviceStatus>

const status = z.object({
  /** `pinChosen`: a Cloud PIN was chosen here or used to join; nothing that derives from it is stored. */
  practice: z.object({ id: z.string(), name: z.string(), pinChosen: z.boolean() }).nullable(),
  device: z.object({ id: z.string(), name: z.string() }),
  version: z.string(),
  cases: z.object({ total: z.number(), archived: z.number(), deleted: z.number() }),
  state: z.enum(['off', 'connected', 'syncing', 'offline']),
  devices: z.array(deviceStatus),
  mailbox: z.object({
    configured: z.boolean(),
    connected: z.boolean(),
    /** `sentence` says why it isn't connected. */
    relays: z.array(
      z.object({ address: z.string(), connected: z.boolean(), sentence: z.string().nullable() }),
    ),
    pendingOut: z.number(),
    pendingIn: z.number(),
  }),
  transfer: z.object({ done: z.number(), of: z.number(), bytes: z.number() }).nullable(),
  store: z.object({ bytes: z.number() }),
  problems: z.array(sentence),
})
/** `kartoteka status --json`. */
export type Status = z.infer<typeof status>

const invite = z.object({
  code: z.string(),
  invitation: z.string(),
  expiresAt: z.number(),
  triesLeft: z.number(),
})
const inviteState = z.object({
  open: z.boolean(),
  /** Set while somebody has proved the PIN and waits for "Add" or "Not mine". */
  asking: z.object({ name: z.string(), id: z.string() }).nullable(),
  added: z.array(z.object({ id: z.string(), name: z.string() })),
  triesLeft: z.number(),
  expiresAt: z.number().nullable(),
  /** Why the window closed: used, expired, cancelled or tries (too many wrong PINs). */
  closed: z.enum(['used', 'expired', 'cancelled', 'tries', 'replaced']).nullable(),
})
/** What the window shows while a device is being added. */
export type InviteState = z.infer<typeof inviteState>

const importReport = z.object({
  added: z.number(),
  merged: z.number(),
  unchanged: z.number(),
  /** How many of the unchanged ones are deleted here, and stay so; left out where there are none. */
  deleted: z.number().optional(),
  errors: z.array(z.object({ line: z.number(), reason: z.string() })),
  /** What stood in a case, and gives way to what the file says; left out where there is nothing. */
  replaced: z.array(z.object({ line: z.number(), id, field: z.string(), was: z.string() })).optional(),
})
/** What an import did or would do; `line` numbers start at 1. `was` is an excerpt of what was there. */
export type ImportReport = z.infer<typeof importReport>

const verifyReport = z.object({
  identical: z.boolean(),
  devices: z.array(z.object({ id: z.string(), reached: z.boolean(), differs: z.array(z.string()) })),
})
/** `kartoteka verify --json`. */
export type VerifyReport = z.infer<typeof verifyReport>

const heldMail = z.object({ count: z.number(), bytes: z.number() })
const mailboxReport = z.object({
  relays: z.array(
    z.object({
      address: z.string(),
      connected: z.boolean(),
      /** By recipient's id; `bytes` are padded sizes, `oldest` an age in milliseconds. */
      pending: z.array(heldMail.extend({ recipient: z.string(), name: z.string(), oldest: z.number() })),
      safetyCopy: heldMail,
      record: z.string().nullable(),
    }),
  ),
  pendingTotal: z.number(),
})
/** `kartoteka mailbox show --json`: exactly what the relays hold. */
export type MailboxReport = z.infer<typeof mailboxReport>

const carryReport = z.object({
  /** Envelopes in the file, and those of them that were of use. */
  envelopes: z.number(),
  taken: z.number(),
  /** Changes that are new here. */
  received: z.number(),
})
/** What `carry in` did. */
export type CarryReport = z.infer<typeof carryReport>

const logLine = z.object({ at: z.number(), code: z.string(), text: z.string() })
const check = z.object({ check: z.string(), ok: z.boolean(), sentence: z.string(), fix: z.string() })
/** One line of `doctor`. */
export type DoctorCheck = z.infer<typeof check>

const ids = z.object({ ids: z.array(id).min(1) })
const done = z.object({ ok: z.literal(true) })

/** What the window is told without asking. Coarse on purpose: it asks again for what it shows. */
const event = z.discriminatedUnion('type', [
  z.object({ type: z.literal('cases'), ids: z.array(z.string()).nullable() }),
  z.object({ type: z.literal('status') }),
  z.object({ type: z.literal('invite') }),
  z.object({ type: z.literal('stopping') }),
])
/** A hint from the device: rows of these ids (null: any), the status, or the open window changed. */
export type DeviceEvent = z.infer<typeof event>

/** A piece of a file in base64. */
const piece = z.string().max(8 * 1024 * 1024)

/** A Yjs V1 update in base64. */
const update = z.string().max(64 * 1024 * 1024)

/** A window's own name, made up by it. */
const window = z.string().min(1).max(64).optional()

export const contract = {
  status: oc.output(status),
  events: oc.output(eventIterator(event)),
  practice: {
    create: oc
      .input(z.object({ name: z.string(), device: z.string(), pin: z.string().optional() }))
      .output(z.object({ practice: z.string(), device: z.string() })),
    code: oc.output(z.object({ code: z.string(), invitation: z.string() })),
    /** `code`: practice code or invitation. No address and no code: an open window on this LAN. */
    join: oc
      .input(
        z.object({
          code: z.string().optional(),
          relays: z.array(z.string()).default([]),
          addresses: z.array(z.string()).default([]),
          device: z.string(),
          pin: z.string(),
        }),
      )
      .output(z.object({ practice: z.string(), device: z.string() })),
    /** Checks a PIN by the rules for choosing one. */
    checkPin: oc
      .input(z.object({ pin: z.string(), practice: z.string() }))
      .output(z.object({ ok: z.boolean(), sentence: z.string().nullable() })),
    /** Chooses the Cloud PIN of a practice that was made without one. Checked; only that it was chosen is kept. */
    choosePin: oc.input(z.object({ pin: z.string() })).output(done),
  },
  mailbox: {
    /** Merges the relays' addresses into the practice's, and lets this device collect mail there. */
    on: oc.input(z.object({ relays: z.array(z.string()).default([]) })).output(done),
    /** This device collects no more, and what waits for it is dropped. */
    off: oc.output(done),
    /** Takes one of the practice's relay addresses back, as one that was mistyped. */
    forget: oc.input(z.object({ relay: z.string() })).output(done),
    show: oc.output(mailboxReport),
    /** Does a relay answer at this address? */
    test: oc
      .input(z.object({ address: z.string() }))
      .output(z.object({ ok: z.boolean(), sentence: z.string() })),
  },
  carry: {
    /**
     * The bytes of a file with everything that other devices are not known to hold, piece by piece. `lacks`, with the
     * last: ids of cases that are damaged here, and not in it.
     */
    out: oc.output(eventIterator(z.object({ data: piece, lacks: z.array(z.string()).optional() }))),
    /** The bytes of such a file, in order; `file` is any name that tells two files apart. Answered after the last. */
    in: oc.input(z.object({ file: z.string().max(100), data: piece, last: z.boolean() })).output(carryReport),
  },
  device: {
    list: oc.output(
      z.array(
        deviceStatus
          .pick({ id: true, name: true, self: true, lastSeen: true, upToDate: true, behind: true })
          .extend({ collectsMail: z.boolean(), removed: z.boolean() }),
      ),
    ),
    rename: oc.input(z.object({ id: z.string(), name: z.string() })).output(done),
    address: oc.input(z.object({ id: z.string(), addresses: z.array(z.string()) })).output(done),
    invite: oc
      .input(
        z.object({
          pin: z.string(),
          minutes: z.number().min(1).max(1440).default(10),
          yes: z.boolean().default(false),
        }),
      )
      .output(invite),
    inviteState: oc.output(inviteState),
    answer: oc.input(z.object({ add: z.boolean() })).output(done),
    closeInvite: oc.output(done),
  },
  cases: {
    list: oc
      .input(
        z.object({
          drawer: z.string().optional(),
          match: z.string().optional(),
          deleted: z.boolean().default(false),
        }),
      )
      .output(z.array(row)),
    /** Interchange form plus deleted, lateEdits, conflicts, heldBy, as JSON text. */
    show: oc.input(z.object({ id })).output(z.object({ json: z.string() })),
    create: oc.input(z.object({ json: caseText.optional() })).output(z.object({ id })),
    /** `seen`: what of a field the person has seen; any other value of it stays beside the new one. Left out: all of it. */
    set: oc
      .input(
        z.object({
          id,
          fields: z.array(z.tuple([z.string(), z.string()])),
          seen: z.array(z.tuple([z.string(), z.array(z.string())])).optional(),
        }),
      )
      .output(done),
    choose: oc.input(z.object({ id, field: z.string(), json: z.string() })).output(done),
    add: oc
      .input(z.object({ id, kind: z.enum(['consultation', 'prescription', 'analysis']), json: caseText }))
      .output(z.object({ id })),
    remove: oc.input(z.object({ id, list: z.string(), record: z.string() })).output(done),
    type: oc
      .input(
        z.object({
          id,
          consultation: z.string(),
          at: z.number().int().min(0),
          erase: z.number().int().min(0),
          text: z.string(),
        }),
      )
      .output(done),
    archive: oc.input(ids).output(done),
    unarchive: oc.input(ids).output(done),
    delete: oc.input(ids).output(done),
    restore: oc.input(ids).output(done),
    /** Lines with their numbers in the file; a big file is sent in several calls. */
    import: oc
      .input(
        z.object({
          lines: z.array(z.object({ line: z.number(), text: caseText })),
          preview: z.boolean().default(false),
        }),
      )
      .output(importReport),
    /**
     * Canonical lines in order of id; ask again with `after` = the last id until `more` is false. `unreadable`: ids of
     * cases that are damaged here, and not among them.
     */
    export: oc.input(z.object({ only: z.array(z.string()).optional(), after: z.string().optional() })).output(
      z.object({
        lines: z.array(z.string()),
        unreadable: z.array(z.string()),
        last: z.string().nullable(),
        more: z.boolean(),
      }),
    ),
  },
  search: oc
    .input(z.object({ text: z.string() }))
    .output(z.array(z.object({ id, in: z.string(), snippet: z.string() }))),
  /**
   * One case open for editing: first its whole state, then every change. Under a name that nobody else has, a window
   * is spared those that it makes itself.
   */
  doc: {
    open: oc.input(z.object({ id, window })).output(eventIterator(z.object({ update }))),
    update: oc.input(z.object({ id, update, window })).output(done),
  },
  sync: oc.output(z.object({ sent: z.number(), received: z.number() })),
  /** Waits on the device's side; `met` is false on timeout. */
  wait: oc
    .input(z.object({ for: z.enum(['synced', 'idle']), timeoutSeconds: z.number().min(0).max(86400) }))
    .output(z.object({ met: z.boolean(), status })),
  verify: oc.output(verifyReport),
  log: oc.output(z.array(logLine)),
  doctor: oc.output(z.array(check)),
  config: {
    get: oc.output(z.record(z.string(), z.string())),
    set: oc.input(z.object({ key: z.string(), value: z.string() })).output(done),
  },
  flush: oc.output(done),
  /** Which device runs, where it can be reached and where its data lies. */
  about: oc.output(z.object({ device: z.string(), addresses: z.array(z.string()), data: z.string() })),
  /** A fresh one-time address of the window, as `kartoteka open --print` prints it. */
  windowUrl: oc.output(z.object({ url: z.string() })),
  stop: oc.output(done),
}
