/** English for everything about the cloud mailbox, syncing and carrying: a part of the table in `en.ts`. */

export const syncEn = {
  // The icon, and the panel below "Devices"
  mailboxConnected: 'Cloud mailbox: connected',
  mailboxSyncing: 'Cloud mailbox: syncing',
  mailboxOffline: 'Cloud mailbox: no Internet or mailbox offline',
  cloudMailbox: 'Cloud mailbox',
  connectedHint: 'Connected. Nothing waits to be sent or fetched.',
  connectedState: 'Connected.',
  syncingState: 'Syncing.',
  offlineHint: 'No Internet or mailbox offline. Everything is saved here and will be sent by itself.',
  toGo: '{n} to go',
  toSend: 'To send: {n}',
  toFetch: 'To fetch: {n}',
  transferring: 'Cases on their way: {done} of {of} · {size}',
  transferProgress: 'Progress of the transfer',
  syncDone: 'Sync is done.',
  syncDoneWith: 'Sync is done: {sent}, {received}.',
  syncSent: { one: '{n} change sent', other: '{n} changes sent' },
  syncReceived: { one: '{n} change received', other: '{n} changes received' },
  problems: 'Needs your attention',
  problemCount: { one: '{n} thing needs your attention', other: '{n} things need your attention' },
  happened: 'What happened lately',
  happenedNothing: 'Nothing yet.',
  showMore: 'Show more',
  manageDevices: 'Manage devices…',

  // Delivery ticks
  deliveryTitle: 'Where this case is',
  deliveryHint: 'A tick stands only when the device itself has confirmed it.',
  waiting: 'waiting',

  // Choosing a Cloud PIN
  pinRules: 'Six or more characters. Not one character repeated, no run like 123456, not the practice name.',
  pinProtects:
    'It protects your cases outside your own devices, and every further device asks for it. It is never stored, so remember it.',
  pinOffer: 'One that nobody guesses:',
  pinOfferUse: 'Use this PIN',

  // Preferences: the cloud mailbox
  useMailbox: 'Use the cloud mailbox',
  mailboxWhy:
    'For devices that are never on at the same time. It keeps sealed changes until each device has them, and can read none.',
  mailboxOffMeans:
    'Before it is switched off, this device takes in what waits for it there, if it can be reached. Direct sync between your devices goes on.',
  mailboxIsOff: 'Off. Direct sync between your devices goes on.',
  relays: 'Its addresses',
  relaysOf: 'Addresses of the cloud mailbox',
  relayOn: 'connected',
  relayOff: 'not connected',
  addRelay: 'Add another address…',
  forgetRelay: 'Remove the address {address}',
  forgetThisRelay: 'Remove this address',
  forgetMeans: 'Each of your devices takes in what still waits for it there, and then uses it no more.',
  relayQuestion: 'Where is your cloud mailbox?',
  relayText: 'Type the address that its operator gave you.',
  relayHint: 'It begins with a slash and ends with a long name.',
  relayNeeded: 'Type the relay address.',
  relayAnyway: 'Check the address, or choose “{action}” again to use it anyway.',
  test: 'Test',
  testing: 'Testing…',
  relaySilent: 'Nothing answers at this address.',
  relayAnswers: 'The cloud mailbox answers at this address.',

  // The practice code
  practiceCodeText:
    'A new device finds your practice by it. It is no secret: without the PIN it opens nothing.',
  showCode: 'Show code and QR',
  hideCode: 'Hide code and QR',
  qrName: 'The invitation as a QR code',

  // What the relay holds
  caseDatabase: 'Case database',
  heldItem: 'What the relay holds…',
  heldTitle: 'What the relay holds',
  heldText:
    'Only sealed changes lie here, padded so that even their length tells nothing: the relay can read none, and each goes when its last device has it.',
  heldNothing: 'Nothing waits at the relay.',
  heldNoMailbox: 'There is no cloud mailbox, so your cases lie on your own devices only.',
  heldUnreachable: 'It can’t be reached now, so what it holds isn’t known.',
  heldFor: 'Waits for',
  heldItems: 'Items',
  heldSize: 'Size',
  heldOldest: 'Oldest',
  heldCount: { one: '{n} item', other: '{n} items' },
  heldTotal: 'Total',
  heldInAll: 'In all: {items}',
  heldSafetyCopy: 'Safety copy',
  heldRecord: 'Recovery record: {record}',
  heldAsOf: 'As of {time}',
  refresh: 'Refresh',
  ageMoment: 'under 1 minute',
  ageMinutes: { one: '{n} minute', other: '{n} minutes' },
  ageHours: { one: '{n} hour', other: '{n} hours' },
  ageDays: { one: '{n} day', other: '{n} days' },

  // Carry by file
  carryItem: 'Carry by file…',
  carryTitle: 'Carry by file',
  carryText:
    'Take changes to another of your devices on a USB stick, with no network at all. The file is sealed: only your own devices can open it.',
  carryOutTitle: 'From this device',
  carryOutText: 'Everything that your other devices are not known to have.',
  carryOut: 'Save the file',
  carryOutRunning: 'Gathering changes: {size}',
  carryOutDone: 'Saved as {name}, {size}. Choose it there with “Carry by file”.',
  carryOutEmpty: 'There is nothing to carry: your other devices have everything.',
  carryInTitle: 'To this device',
  carryInText: 'A file that another of your devices saved.',
  carryInProgress: 'Reading the file',
  carryInDone: { one: 'Done: {n} change was new here.', other: 'Done: {n} changes were new here.' },
  carryInKnown: 'Everything in this file was here already.',
  carryInNothing: 'This file holds nothing for this device.',
}
