import { sql } from 'kysely';
import type { CommitPoint } from '../../change/change-batch.ts';
import { type Position, formatPosition } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Target } from '../session.ts';

export interface Checkpoint {
  readonly position: Position;
  readonly committedAt: Date | null;
  readonly sourceIdentity: string;
  /** Null if the replica was started by a version that did not record it. */
  readonly sourceDatabase: string | null;
}

/** The source server and database of a replica. */
export interface Origin {
  readonly identity: string;
  readonly database: string;
}

export async function readCheckpoint(db: Target): Promise<Checkpoint | null> {
  const row = await db.selectFrom('checkpoint').selectAll().executeTakeFirst();
  if (row === undefined) return null;
  return {
    position: {
      ...{ file: row.file, offset: Number(row.offset), gtid: row.gtid },
      ...((row.file_began ?? null) === null ? {} : { fileBegan: Number(row.file_began) }),
    },
    committedAt: row.committed_at,
    sourceIdentity: row.source_identity,
    // The column is missing until the control schema is migrated, and `check` does not migrate it.
    sourceDatabase: row.source_database ?? null,
  };
}

/** Writes the first checkpoint of a replica: the position of its snapshot. */
export async function createCheckpoint(
  db: Target,
  epoch: bigint,
  position: Position,
  { identity, database }: Origin,
): Promise<void> {
  await db
    .insertInto('checkpoint')
    .values({
      file: position.file,
      offset: position.offset,
      gtid: position.gtid,
      committed_at: null,
      applied_at: sql`now()`,
      lease_epoch: epoch.toString(),
      source_identity: identity,
      source_database: database,
    })
    .execute();
}

/**
 * Moves the checkpoint, in the transaction of the rows it covers. The epoch is the fence. A lease holder that has been replaced finds no
 * row to update, and its transaction must roll back. Raises lease-lost.
 */
export async function moveCheckpoint(
  trx: Target,
  epoch: bigint,
  { position, committedAt }: CommitPoint,
): Promise<void> {
  const { numUpdatedRows } = await trx
    .updateTable('checkpoint')
    .set({
      file: position.file,
      offset: position.offset,
      gtid: position.gtid,
      file_began: position.fileBegan ?? null,
      applied_at: sql`clock_timestamp()`,
      ...(committedAt === null ? {} : { committed_at: new Date(committedAt * 1000) }),
    })
    .where('lease_epoch', '=', epoch.toString())
    .executeTakeFirst();
  if (numUpdatedRows !== 1n) throw new TidegateError('lease-lost', 'another instance has taken over this target');
}

/** Moves the checkpoint to another server. The GTID position stays; file and offset become those of the new server. */
export async function moveToServer(trx: Target, position: Position, sourceIdentity: string): Promise<void> {
  await trx
    .updateTable('checkpoint')
    .set({ file: position.file, offset: position.offset, file_began: null, source_identity: sourceIdentity })
    .execute();
}

/** Records the source database of a replica that was started by a version that did not record it. */
export async function keepDatabase(trx: Target, database: string): Promise<void> {
  await trx.updateTable('checkpoint').set({ source_database: database }).where('source_database', 'is', null).execute();
}

/** Restarts the replica at another position, which is unrelated to what was applied before. Returns the previous position, for people. */
export async function restartCheckpoint(
  trx: Target,
  position: Position,
  { identity, database }: Origin,
): Promise<string> {
  const before = await readCheckpoint(trx);
  if (before === null) throw new TidegateError('refused', 'nothing was copied into this target schema yet');
  const { file, offset, gtid } = position;
  await trx
    .updateTable('checkpoint')
    .set({
      ...{ file, offset, gtid, file_began: null, committed_at: null, applied_at: sql`now()` },
      ...{ source_identity: identity, source_database: database },
    })
    .execute();
  return formatPosition(before.position);
}

/** The same fence for transactions that do not move the checkpoint, such as that of a chunk. Raises lease-lost. */
export async function assertEpoch(trx: Target, epoch: bigint): Promise<void> {
  const held = await trx
    .selectFrom('checkpoint')
    .select('lease_epoch')
    .where('lease_epoch', '=', epoch.toString())
    .forShare()
    .executeTakeFirst();
  if (held === undefined) throw new TidegateError('lease-lost', 'another instance has taken over this target');
}
