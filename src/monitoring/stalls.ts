/** Why nothing moves although everything is connected, each with a remedy. docs/operations.md has more. */
export const stalls = {
  'source-silent':
    'the source does not answer, or its dump brings no heartbeat: check its server and the network; within 20 s a new connection is opened',
  'target-silent':
    'PostgreSQL does not answer, and is not at work: check its server and the network; within 20 s a new connection is opened',
  'target-stuck': 'PostgreSQL does not finish a batch: check for locks on the tables and for a full disk',
  'no-leader': 'the instance that holds the lease does not report: check it, or stop it so that this one takes over',
} as const;

/** Why hardly anything is read at the source, with a remedy. */
export const slow = {
  reason: 'source-busy',
  remedy:
    'the source has been busy for ten minutes, and one small chunk a minute is read: find out what runs there; a higher SOURCE_BUSY_AT reads nevertheless, and SNAPSHOT_WINDOW chooses quieter hours',
} as const;

export type Stall = keyof typeof stalls;
