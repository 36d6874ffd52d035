import { sql } from 'kysely';
import type { Config } from '../../config/config.ts';
import { formatPosition } from '../../change/position.ts';
import { tableFilter } from '../../config/table-filter.ts';
import { type Scope, inPart } from '../../lifetime/scope.ts';
import { readCatalog } from '../../mysql/catalog/catalog.ts';
import { SourceConnection } from '../../mysql/connection.ts';
import { readSnapshotPosition } from '../../mysql/position/positions.ts';
import { readServerFlavor } from '../../mysql/server-flavor.ts';
import { restartCheckpoint } from '../../postgres/control/checkpoint.ts';
import { type Confirmation, recordEvent } from '../../postgres/control/events.ts';
import { Fence } from '../../postgres/control/fence.ts';
import { endJobsOf, resyncAlone } from '../../postgres/control/jobs.ts';
import { requestJobs } from '../../postgres/control/requests.ts';
import { Lease } from '../../postgres/control/lease.ts';
import { migrateControlSchema } from '../../postgres/control/migrate.ts';
import { type Reading, WritingSession } from '../../postgres/session.ts';
import { type KnownTable, holdForResync, readTables, excludeTable } from '../../postgres/control/table-states.ts';
import { assertSameSource } from './continuation.ts';

const whileRunning =
  'While it runs, its binlog position is not lost: `tidegate backfill --all` reads every table again. To resync anyway, stop it first.';

/**
 * Restarts at the present end of the source's binlog, whichever server that is. The changes between the checkpoint and this position
 * are no longer available. So every streamed table is suspended, and a job is requested to read each table again. Nothing is dropped,
 * and rows stay readable throughout. Returns the ids of the jobs. Raises refused while a service runs. A service that resyncs by itself
 * does so for the same server and database only (`source-changed` otherwise), and its jobs keep the limit on deletions.
 *
 * `request` identifies the wish over several attempts. If the answer to an earlier commit was lost, its jobs are returned.
 */
export async function resync(
  scope: Scope,
  config: Config,
  confirmed: Confirmation,
  request: string,
): Promise<string[]> {
  const isSelected = tableFilter(config.tables);
  const session = await WritingSession.open(scope, config.target, 'tidegate resync');
  await migrateControlSchema(session);
  const lease = await Lease.acquire(scope, config.target, whileRunning).catch((error: unknown) => error);
  const done = await jobsOf(session.db, request);
  if (!(lease instanceof Lease)) {
    // A service went on after the commit of an earlier attempt.
    if (done !== null) return done;
    throw lease;
  }
  try {
    if (done !== null) return done;
    const { position, server } = await inPart(scope, async (part) => await presentPosition(part, config));
    const { identity } = server;
    const isAlone = confirmed === 'by RESYNC=auto';
    const fence = await Fence.open(scope, config.target, 'lead', lease.epoch);
    return await fence.transaction(async (trx) => {
      if (isAlone) await assertSameSource(trx, server, config.source.database);
      const from = await restartCheckpoint(trx, position, { identity, database: config.source.database });
      const all = await readTables(trx);
      for (const { table, state } of all)
        if (state !== 'excluded' && !isSelected(table)) await excludeTable(trx, table);
      const known = tablesToResync(all, isSelected);
      for (const { table } of known) await endJobsOf(trx, table, 'the target restarted at another binlog position');
      const names = known.map(({ table }) => table);
      await holdForResync(trx, names, 'it is read again because the binlog position was lost');
      const requestedBy = isAlone ? resyncAlone : undefined;
      const entire = { repair: true, condition: null, confirmed: !isAlone } as const;
      const named = (isFullRefresh: boolean) =>
        known.filter(({ state }) => (state === 'full-refresh') === isFullRefresh).map(({ table }) => table);
      const jobs = [
        ...(await requestJobs(trx, named(false), { kind: 'backfill', ...entire }, requestedBy)),
        ...(await requestJobs(trx, named(true), { kind: 'refresh', ...entire }, requestedBy)),
      ];
      const to = formatPosition(position);
      await recordEvent(trx, 'resynced', { from, to, tables: known.length, confirmed, request, jobs });
      return jobs;
    });
  } finally {
    await lease.release();
  }
}

/** The tables at the target that are read again: those that are still selected. */
export function tablesToResync(
  tables: readonly KnownTable[],
  isSelected: (table: string) => boolean,
): readonly KnownTable[] {
  return tables.filter(({ table, state }) => state !== 'excluded' && state !== 'gone' && isSelected(table));
}

/** The jobs of a resync that was done for this request; null: none was. */
async function jobsOf(db: Reading, request: string): Promise<string[] | null> {
  const done = await db
    .selectFrom('events')
    .select('detail')
    .where('kind', '=', 'resynced')
    .where(sql<string>`detail->>'request'`, '=', request)
    .executeTakeFirst();
  return done === undefined ? null : (done.detail['jobs'] as string[]);
}

async function presentPosition(scope: Scope, config: Config) {
  const replicator = await SourceConnection.open(scope, config.source, 'replicator');
  const reader = await SourceConnection.open(scope, config.source, 'reader');
  const server = await readServerFlavor(replicator);
  const { tables } = await readCatalog(reader, config.source.database);
  const allInnodb = tables.every(({ engine }) => engine.toLowerCase() === 'innodb');
  const position = await readSnapshotPosition(reader, replicator, server, allInnodb, scope.signal);
  return { position, server };
}
