import { hostname, userInfo } from 'node:os';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Reading } from '../session.ts';
import type { Writable } from './writing.ts';

/** The kinds of events in the audit: who did what to the replica, and when. docs/operations.md describes each kind. */
export type EventKind =
  | 'started'
  | 'stopped'
  | 'tables-added'
  | 'tables-altered'
  | 'table-suspended'
  | 'table-resumed'
  | 'table-excluded'
  | 'table-gone'
  | 'tables-adopted'
  | 'job-ended'
  | 'deletions-confirmed'
  | 'resynced'
  | 'snapshot-finished'
  | 'server-changed'
  | 'paused'
  | 'resumed'
  | 'dead-letters-retried'
  | 'dead-letters-discarded'
  | 'reset';

/** How somebody confirmed a destructive action: typed the name, gave --yes, or was not asked, as in development. */
export type Confirmation = 'typed' | 'option' | 'not asked' | 'by RESYNC=auto';

/** Appends an event to the audit, in the transaction of the action. `detail` holds names and counts, never a value. */
export async function recordEvent(
  trx: Writable,
  kind: EventKind,
  detail: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await trx
    .insertInto('events')
    .values({
      kind,
      detail: JSON.stringify({ ...detail, ...stamp() }),
    })
    .execute();
}

/** The author of an event: user, process and version. */
export function stamp(): Readonly<Record<string, unknown>> {
  return { by: who(), pid: process.pid, version: packageJson.version };
}

export interface RecordedEvent {
  readonly id: string;
  readonly at: Date;
  readonly kind: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** Newest first. */
export async function latestEvents(db: Reading, limit: number): Promise<RecordedEvent[]> {
  const rows = await db
    .selectFrom('events')
    .select(['id', 'at', 'kind', 'detail'])
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ id, at, kind, detail }) => ({ id, at, kind, detail }));
}

/** User and host. */
export function who(): string {
  return `${userName()}@${hostname()}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a user id without a name.
    return `uid ${process.getuid?.()}`;
  }
}
