/** Every bound of the protocol with its reason. All sizes in bytes. */

/** The newest and oldest versions of /kartoteka/sync this program speaks. */
export const SYNC_VERSION = 1
export const OLDEST_SYNC_VERSION = 1

/** A log id is the first half of a SHA-256: collisions need 2^64 work, and a log accepts one device only. */
export const LOG_ID_BYTES = 16
/** What stays of every head for ever: enough to notice a fork, small enough for 20,000 keystrokes. */
export const CHECK_BYTES = 8
/** Random value in a log's opening. */
export const LOG_RANDOM_BYTES = 16
/** Key of a case in stores and transfers: half of an HMAC-SHA-256. */
export const CASE_KEY_BYTES = 16

/** One change, decompressed. Larger edits are refused before they are appended. */
export const MAX_CHANGE_BYTES = 16 * 1024 * 1024
/** A restated case, decompressed: it may hold several changes of the largest size. */
export const MAX_STATE_BYTES = 64 * 1024 * 1024
/** A change or a state as coded: what a raw change of the largest size takes at most. */
export const MAX_PAYLOAD_BYTES = MAX_CHANGE_BYTES + 1
/** What one device may make of a case, as stored (compressed). Devices that are apart can make more of it together. */
export const MAX_CASE_BYTES = 20 * 1024 * 1024
/** A case as a peer may give it: several devices wrote as much as each may. It is put together in memory. */
export const MAX_CASE_STATE_BYTES = 128 * 1024 * 1024
/** A longer list row, or clocks of more clients, don't travel with a case: the receiver makes its own. */
export const MAX_ROW_BYTES = 64 * 1024
export const MAX_ITEM_CLOCKS = 50_000
/** Longest interchange id in UTF-16 units. */
export const MAX_CASE_ID_UNITS = 200

/** A signed run: few enough that a lost connection repeats little, many enough for one signature. */
export const MAX_RUN_CHANGES = 64
export const MAX_RUN_BYTES = 256 * 1024
/** Hostile runs are cut off here before anything is hashed. */
export const MAX_ACCEPTED_RUN_CHANGES = 4096
/** And here: a run must fit into a message on its way further, with the ids and openings beside it. */
export const MAX_ACCEPTED_RUN_BYTES = 20 * 1024 * 1024

/** Changes or case states read and sent in one piece. */
export const CHUNK_BYTES = 256 * 1024
/** Bulk bytes that may be on their way without the other side's word that they are durable. */
export const WINDOW_BYTES = 4 * 1024 * 1024

/** Checks in one CHECKS message: a chunk of bulk. */
export const CHECKS_PER_STRETCH = CHUNK_BYTES / CHECK_BYTES
/** All checks of one transfer, a gigabyte of them: more keystrokes than a practice makes in its life. */
export const MAX_TARGET_CHECKS = 2 ** 27
/** Checks in one FORK: three exchanges find where two branches of any length part. */
export const MAX_FORK_POINTS = 2048

/** Claims in one HELLO or CLAIMS: a practice of twenty devices over decades stays far below. */
export const MAX_CLAIMS = 65_536
/** Damaged cases that one WANT asks for. */
export const MAX_WANTED = 64
/** Cases of which a device believes others that they are damaged: as many are not in the files of one that still works. */
export const MAX_DAMAGED = 65_536
/** Short updates are not compressed: deflate would make them longer. */
export const COMPRESS_FROM_BYTES = 96

/** A case is compacted when so many parts have gathered behind its first one. */
export const COMPACT_PARTS = 32
/** Below this the tail is merged alone; above it, and above half the first part, everything is. */
export const COMPACT_TAIL_BYTES = 8 * 1024
/** A part of this size is no longer merged with others. */
export const LARGE_PART_BYTES = MAX_PAYLOAD_BYTES / 2

/** Addresses that a peer may announce. */
export const MAX_ADDRESSES = 16
