import { type Position, comparePositions } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import { assertReachable, startsByGtid } from '../../mysql/position/positions.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import { type Checkpoint, type Refusal, readCheckpoint, readRefusal } from '../../postgres/control/checkpoint.ts';
import { hasControlTable } from '../../postgres/control/migrate.ts';
import type { Reading } from '../../postgres/session.ts';
import { type KnownTable, isFollowed, readTables } from '../../postgres/control/table-states.ts';

/** The progress of the target and of each table's snapshot. All positions belong to one server. */
export interface Progress {
  readonly checkpoint: Checkpoint;
  readonly tables: readonly KnownTable[];
  readonly refusal: Refusal | null;
}

/** Null: replication was never started. */
export async function readProgress(db: Reading): Promise<Progress | null> {
  const checkpoint = await readCheckpoint(db);
  if (checkpoint === null) return null;
  // The table is missing until the control schema is migrated, and `check` does not migrate it.
  const refusal = (await hasControlTable(db, 'refusal')) ? await readRefusal(db) : null;
  return { checkpoint, tables: await readTables(db), refusal };
}

/**
 * Makes sure that the stream can continue from a checkpoint with changes of `database`. Raises source-changed, source-diverged or
 * position-lost. What was found to have diverged stays so until `resync`.
 *
 * GTIDs are the same on every server of a replication group. Files and offsets belong to one server. So the stream continues by GTID
 * on another server. It cannot while a position known by file and offset is still needed: during a snapshot, and until the stream has
 * passed the snapshot's end.
 */
export async function assertContinues(
  replicator: SourceConnection,
  server: ServerFlavor,
  database: string,
  { checkpoint, tables, refusal }: Progress,
): Promise<void> {
  const { position, sourceIdentity, sourceDatabase } = checkpoint;
  if (sourceDatabase !== null && !isSame(sourceDatabase, database, server))
    throw new TidegateError(
      'source-changed',
      `the target has the rows of database ${sourceDatabase}, and SOURCE_DB_NAME is ${database}`,
      {
        hint: 'Give each database its own TARGET_DB_SCHEMA. If this database was renamed or replaces the other one, run `tidegate resync`.',
      },
    );
  if (refusal?.sourceIdentity === server.identity) throw new TidegateError('source-diverged', refusal.reason);
  const byGtid = startsByGtid(server, position);
  if (sourceIdentity !== server.identity) {
    if (!byGtid)
      throw new TidegateError('source-changed', 'the source address leads to a different server than before');
    const held = tables.find((table) => isFollowed(table) && !isPast(position, table));
    if (held !== undefined)
      throw new TidegateError(
        'source-changed',
        `the source is a different server than before, and the snapshot of table ${held.table} belongs to the earlier server`,
        {
          hint: 'Point SOURCE_DB_HOST back at the earlier server until the state is streaming, then change it again. If that server is gone, run `tidegate reset`, then `tidegate run`.',
        },
      );
  }
  await assertReachable(replicator, server, position, byGtid);
}

/** Raises source-changed if the replica was made from another server or database. */
export async function assertSameSource(db: Reading, server: ServerFlavor, database: string): Promise<void> {
  const checkpoint = await readCheckpoint(db);
  if (checkpoint === null) return;
  const { sourceIdentity, sourceDatabase } = checkpoint;
  if (sourceIdentity === server.identity && (sourceDatabase === null || isSame(sourceDatabase, database, server)))
    return;
  throw new TidegateError('source-changed', 'the source is a different server or database than before');
}

function isSame(one: string, other: string, { foldNames }: ServerFlavor): boolean {
  return foldNames ? one.toLowerCase() === other.toLowerCase() : one === other;
}

/** The checkpoint has passed the positions at which the table's snapshot started and ended. */
function isPast(position: Position, { state, from, until }: KnownTable): boolean {
  return (
    (state === 'streaming' || state === 'backfilling') &&
    comparePositions(position, from) >= 0 &&
    (until === null || comparePositions(position, until) >= 0)
  );
}
