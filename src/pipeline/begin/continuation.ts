import { type Position, comparePositions } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import { assertReachable, startsByGtid } from '../../mysql/position/positions.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import { type Checkpoint, readCheckpoint } from '../../postgres/control/checkpoint.ts';
import type { Target } from '../../postgres/session.ts';
import { type KnownTable, isFollowed, readTables } from '../../postgres/control/table-states.ts';

/** How far the target is, and how far each table is with its snapshot; places are all of one server. */
export interface Standing {
  readonly checkpoint: Checkpoint;
  readonly tables: readonly KnownTable[];
}

/** Null: nothing was begun yet. */
export async function readProgress(db: Target): Promise<Standing | null> {
  const checkpoint = await readCheckpoint(db);
  return checkpoint === null ? null : { checkpoint, tables: await readTables(db) };
}

/**
 * Makes sure that the stream can go on from a checkpoint, with changes of `database`. Raises source-changed or position-lost.
 *
 * GTIDs are the same on every server of a replication group; files and offsets are one server's own. So on another server the
 * stream goes on by GTID, unless a place known by file and offset is still needed: while a snapshot is under way, or its end is
 * not passed yet.
 */
export async function assertContinues(
  replicator: SourceConnection,
  server: ServerFlavor,
  database: string,
  { checkpoint, tables }: Standing,
): Promise<void> {
  const { position, sourceIdentity, sourceDatabase } = checkpoint;
  if (sourceDatabase !== null && !isSame(sourceDatabase, database, server))
    throw new TidegateError(
      'source-changed',
      `the target has the rows of database ${sourceDatabase}, and SOURCE_DB_NAME is ${database}`,
      {
        hint: 'Give each database a TARGET_DB_SCHEMA of its own. If this one was renamed or is to take the place of the other: `tidegate resync`.',
      },
    );
  const byGtid = startsByGtid(server, position);
  if (sourceIdentity !== server.identity) {
    if (!byGtid)
      throw new TidegateError('source-changed', 'the server behind the source address is another one than before');
    const held = tables.find((table) => isFollowed(table) && !isPast(position, table));
    if (held !== undefined)
      throw new TidegateError(
        'source-changed',
        `the source is another server than before, and the snapshot of table ${held.table} belongs to the one before`,
        {
          hint: 'Point SOURCE_DB_HOST back at the server of the snapshot until the state is streaming, then move on. If it is gone: `tidegate reset`, then `tidegate run`.',
        },
      );
  }
  await assertReachable(replicator, server, position, byGtid);
}

function isSame(one: string, other: string, { foldNames }: ServerFlavor): boolean {
  return foldNames ? one.toLowerCase() === other.toLowerCase() : one === other;
}

/** All that the table's snapshot had is behind the checkpoint. */
function isPast(position: Position, { state, from, until }: KnownTable): boolean {
  return (
    (state === 'streaming' || state === 'backfilling') &&
    comparePositions(position, from) >= 0 &&
    (until === null || comparePositions(position, until) >= 0)
  );
}
