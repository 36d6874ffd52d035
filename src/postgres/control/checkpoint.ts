import { sql } from 'kysely';
import type { CommitPoint } from '../../change/change-batch.ts';
import type { Witness } from '../../change/witness.ts';
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
  /** The last groups that were applied, by which the source proves its history. */
  readonly witnesses: readonly Witness[];
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
    // The columns are missing until the control schema is migrated, and `check` does not migrate it.
    sourceDatabase: row.source_database ?? null,
    witnesses: row.witnesses ?? [],
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
export async function moveCheckpoint(trx: Fenced, { position, committedAt, witnesses }: CommitPoint): Promise<void> {
  await trx
    .updateTable('checkpoint')
    .set({
      file: position.file,
      offset: position.offset,
      gtid: position.gtid,
      file_began: position.fileBegan ?? null,
      applied_at: sql`clock_timestamp()`,
      ...(committedAt === null ? {} : { committed_at: new Date(committedAt * 1000) }),
      ...(witnesses === undefined ? {} : { witnesses: JSON.stringify(witnesses) }),
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
      ...{ file, offset, gtid, file_began: null, committed_at: null, applied_at: sql`now()`, witnesses: null },
      ...{ source_identity: identity, source_database: database },
    })
    .execute();
  await trx.deleteFrom('refusal').execute();
  return formatPosition(before.position);
}

/** A source whose history is not the one that was applied. */
export interface Refusal {
  readonly reason: string;
  /** The server that was refused. */
  readonly sourceIdentity: string;
}

/** Null: the history of no source is refused. */
export async function readRefusal(db: Reading): Promise<Refusal | null> {
  const row = await db.selectFrom('refusal').select(['reason', 'source_identity']).executeTakeFirst();
  return row === undefined ? null : { reason: row.reason, sourceIdentity: row.source_identity };
}

/** Records that the history of a source is refused, so that no restart forgets it. `resync` deletes it. */
export async function keepRefusal(trx: Fenced, { reason, sourceIdentity }: Refusal): Promise<void> {
  const values = { reason, source_identity: sourceIdentity };
  await trx
    .insertInto('refusal')
    .values(values)
    .onConflict((conflict) => conflict.column('singleton').doUpdateSet(values))
    .execute();
}
