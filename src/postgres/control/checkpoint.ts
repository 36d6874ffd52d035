import { sql } from 'kysely';
import type { CommitPoint } from '../../change/change-batch.ts';
import { type Position, formatPosition } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Reading } from '../session.ts';
import type { Fenced } from './writing.ts';

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

export async function readCheckpoint(db: Reading): Promise<Checkpoint | null> {
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
export async function createCheckpoint(trx: Fenced, position: Position, { identity, database }: Origin): Promise<void> {
  await trx
    .insertInto('checkpoint')
    .values({
      file: position.file,
      offset: position.offset,
      gtid: position.gtid,
      committed_at: null,
      applied_at: sql`now()`,
      source_identity: identity,
      source_database: database,
    })
    .execute();
}

/** Moves the checkpoint, in the transaction of the rows it covers. */
export async function moveCheckpoint(trx: Fenced, { position, committedAt }: CommitPoint): Promise<void> {
  await trx
    .updateTable('checkpoint')
    .set({
      file: position.file,
      offset: position.offset,
      gtid: position.gtid,
      file_began: position.fileBegan ?? null,
      applied_at: sql`clock_timestamp()`,
      ...(committedAt === null ? {} : { committed_at: new Date(committedAt * 1000) }),
    })
    .execute();
}

/** Moves the checkpoint to another server. The GTID position stays; file and offset become those of the new server. */
export async function moveToServer(trx: Fenced, position: Position, sourceIdentity: string): Promise<void> {
  await trx
    .updateTable('checkpoint')
    .set({ file: position.file, offset: position.offset, file_began: null, source_identity: sourceIdentity })
    .execute();
}

/** Records the source database of a replica that was started by a version that did not record it. */
export async function keepDatabase(trx: Fenced, database: string): Promise<void> {
  await trx.updateTable('checkpoint').set({ source_database: database }).where('source_database', 'is', null).execute();
}

/** Restarts the replica at another position, which is unrelated to what was applied before. Returns the previous position, for people. */
export async function restartCheckpoint(
  trx: Fenced,
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
