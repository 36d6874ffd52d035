import { sql } from 'kysely';
import type { TargetSession } from '../session.ts';
import { shortened } from './fence.ts';
import { readLeaseHolder } from './lease.ts';
import { hasControlTable } from './migrate.ts';

/**
 * What the target shows of a service that has not reported. `absent`: the lease is free, and no instance is connected. `holder`: an instance
 * holds the lease. `connected`: instances are connected, and none holds the lease. `unseen`: the target takes no writes, so no service could
 * report.
 */
export type Presence =
  { readonly kind: 'absent' | 'connected' | 'unseen' } | { readonly kind: 'holder'; readonly holder: string };

/** Names the session in which each instance of a replica reports, so that others see it is connected. */
export function statusSessionName(replica: string): string {
  return `tidegate status ${shortened(replica)}`;
}

/** Looks for instances of the session's replica. */
export async function readPresence(session: TargetSession): Promise<Presence> {
  if (session.isServerReadOnly) return { kind: 'unseen' };
  const holder = (await hasControlTable(session.db, 'lease')) ? await readLeaseHolder(session.db) : null;
  if (holder !== null) return { kind: 'holder', holder };
  const { rows } = await sql`
    select from pg_stat_activity where datname = current_database() and application_name = ${statusSessionName(session.targetSchema)}`.execute(
    session.db,
  );
  return { kind: rows.length === 0 ? 'absent' : 'connected' };
}
