/** Every bound of the mailbox with its reason: what a device may ask of a relay, and what a relay gives. */

/** The newest and oldest versions of /kartoteka/mailbox this program speaks. */
export const MAILBOX_VERSION = 1
export const OLDEST_MAILBOX_VERSION = 1

/** Id of a deposit: half of an HMAC-SHA-256, made by the depositor. */
export const MAIL_ID_BYTES = 16
/** A relay's incarnation is random; equal ones by chance need 2^64 relays. */
export const INCARNATION_BYTES = 16
/** A practice id, as the hash of its first roster entry. */
export const PRACTICE_ID_BYTES = 32
/** A device is its Ed25519 key. */
export const DEVICE_KEY_BYTES = 32

/** A whole case as stored, sealed: it fits one message of the channel with everything around it. */
export const MAX_ENVELOPE_BYTES = 20 * 1024 * 1024
/** Everybody of the largest practice. */
export const MAX_RECIPIENTS = 64
/** Deposits that one deposit may stand for: folding takes them together in portions. */
export const MAX_REPLACES = 1024
/** Ids in one ACK or CHECK: a portion of mail, and a group of writes that stays small. */
export const MAX_IDS = 1024
/** One device's sealed word: claims of a few thousand logs, ladders and what it has left. */
export const MAX_NOTICE_BYTES = 1024 * 1024
/** A whole roster: two thousand entries of the usual size. */
export const MAX_CHAIN_BYTES = 1024 * 1024

/** About so much mail in one BATCH: a recipient stores it as one piece, and a lost connection repeats no more. */
export const BATCH_BYTES = 1024 * 1024
/** Mails in one BATCH, however small: the recipient works them in before it asks for more. */
export const MAX_BATCH_MAILS = 1024

/** Deposits of one session that are not answered yet: enough to share a flush, little to hold in memory. */
export const MAX_UNANSWERED = 32
/** Bytes of such deposits before a relay reads on from that session. */
export const MAX_UNANSWERED_BYTES = 4 * 1024 * 1024

/** A connection that says nothing useful is given up: for GREET, and for the CHAIN of one that is unknown. */
export const GREET_TIMEOUT_MS = 10_000
/**
 * Silence after which either side takes the other for gone. A connection that is dead is noticed sooner, by what asks
 * below the mailbox; this is for a mailbox that stands still on one that lives.
 */
export const SILENCE_TIMEOUT_MS = 200_000
/** So often a device asks ALIVE; three are lost before the relay is given up. Thousands of idle devices ask. */
export const ALIVE_INTERVAL_MS = 50_000

/** Mail that nobody has collected for so long goes; its sender notices by CHECK and offers it again. */
export const EXPIRY_DAYS = 180
/** Envelopes of one practice: three hundred full cases are 3 MB, and pictures travel elsewhere. */
export const QUOTA_BYTES = 1024 * 1024 * 1024
/** Mails of one practice, however small: what a relay looks at when it starts. Folding keeps far below. */
export const MAX_PENDING_MAILS = 100_000
/** Devices with an open window that FOUND names: usually there is one. */
export const MAX_FOUND = 8
