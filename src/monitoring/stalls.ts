/** Why nothing moves although everything is connected, and what to look after; docs/operations.md has more. */
export const stalls = {
  'source-silent':
    'the source says nothing, not even that there is no news: look after its server and the network; a fresh connection is made after 15 s',
  'target-stuck':
    'PostgreSQL does not finish a batch: look for locks on the tables and for a full disk there; a fresh connection is made after 5 min',
  'no-leader': 'the instance that holds the lease says nothing: look after it, or end it and this one takes over',
} as const;

export type Stall = keyof typeof stalls;
