/**
 * Every derivation label and signing domain of the trust part, each used for one thing only. The table in
 * SECURITY.md is made from this file: one line of comment, one constant.
 */

/** Hash of an unsigned roster entry; of GENESIS it is the practice id. */
export const LABEL_ROSTER_HASH = 'kartoteka/1 roster entry hash'
/** What the author of a roster entry signs, before the entry's hash. */
export const LABEL_ROSTER_SIGNATURE = 'kartoteka/1 roster entry signature'
/** What a new device signs with its own key to be enrolled. */
export const LABEL_ENROLMENT = 'kartoteka/1 enrolment'

/** Epoch key → its public 16-byte id. */
export const LABEL_EPOCH_KEY_ID = 'kartoteka/1 epoch key id'
/** Epoch key → the key that seals the epoch key before it. */
export const LABEL_EPOCH_LADDER = 'kartoteka/1 ladder key'
/** Epoch key → the key that seals names and settings in the roster. */
export const LABEL_EPOCH_ROSTER = 'kartoteka/1 roster seal key'
/** First epoch key → the key of a practice's store entries, the same for its whole life. */
export const LABEL_INDEX_KEY = 'kartoteka/1 index key'

/** Epoch key → the key that seals envelopes. */
export const LABEL_ENVELOPE_KEY = 'kartoteka/1 envelope key'
/** Epoch key → the key of envelope ids. */
export const LABEL_ENVELOPE_ID_KEY = 'kartoteka/1 envelope id key'
/** Associated data of an envelope. */
export const LABEL_ENVELOPE = 'kartoteka/1 envelope'
/** What the sender of a letter signs. */
export const LABEL_LETTER = 'kartoteka/1 letter'

/** HPKE info of an epoch key sealed to a device or to the recovery key. */
export const LABEL_EPOCH_HPKE = 'kartoteka/1 epoch key for a device'
/** Associated data of the epoch key that the next one seals. */
export const LABEL_LADDER = 'kartoteka/1 ladder'
/** Associated data of a sealed device name. */
export const LABEL_DEVICE_NAME = 'kartoteka/1 device name'
/** Associated data of the sealed practice name in GENESIS. */
export const LABEL_PRACTICE_NAME = 'kartoteka/1 practice name'
/** Associated data of sealed settings. */
export const LABEL_SETTINGS = 'kartoteka/1 settings'

/** Practice id → practice code. */
export const LABEL_PRACTICE_CODE = 'kartoteka/1 practice code'

/** Session id of a pairing, from both nonces. */
export const LABEL_PAIR_SESSION = 'kartoteka/1 pairing session'
/** Channel identifier of a pairing. */
export const LABEL_PAIR_CHANNEL = 'kartoteka/1 pairing channel'
/** ISK → the key of both confirmations. */
export const LABEL_PAIR_CONFIRMATION_KEY = 'kartoteka/1 pairing confirmation key'
/** Confirmation of the new device. */
export const LABEL_PAIR_NEW = 'kartoteka/1 pairing new device'
/** Confirmation of the existing device. */
export const LABEL_PAIR_EXISTING = 'kartoteka/1 pairing existing device'
