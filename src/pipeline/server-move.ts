import type { Position } from '../change/position.ts';
import { comparePositions } from '../change/position.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { ServerFlavor } from '../source/server-flavor.ts';
import { type Checkpoint, assertEpoch, moveToServer } from '../target/checkpoint.ts';
import type { TargetSession } from '../target/session.ts';
import { type KnownTable, forgetPlaces } from '../target/table-states.ts';

/** Before everything: files and offsets of one server say nothing on another. */
const nowhere = { file: '', offset: 0 } as const;

/**
 * The source address leads to another server than before, of the same replication group: the stream goes on by GTID, and every
 * place known by file and offset is forgotten, since files are each server's own. Returns the checkpoint as it is now.
 *
 * Raises source-changed where such a place is still needed: while a snapshot is under way, or its end is not passed yet.
 */
export async function moveToOtherServer(
  target: TargetSession,
  replica: string,
  epoch: bigint,
  server: ServerFlavor,
  checkpoint: Checkpoint,
  tables: readonly KnownTable[],
): Promise<Checkpoint> {
  const held = tables.find((table) => table.state !== 'parked' && !isPast(checkpoint.position, table));
  if (held !== undefined)
    throw new TidegateError(
      'source-changed',
      `the source is another server of its replication group, and the snapshot of table ${held.table} belongs to the one before`,
      {
        hint: 'Point SOURCE_DB_HOST back at the server of the snapshot until the state is streaming, then move on. If it is gone: `tidegate reset`, then `tidegate run`.',
      },
    );
  const position: Position = { ...nowhere, gtid: checkpoint.position.gtid };
  await target.transaction(async (trx) => {
    await assertEpoch(trx, replica, epoch);
    await forgetPlaces(trx, replica, nowhere);
    await moveToServer(trx, replica, position, server.identity);
  });
  return { ...checkpoint, position, sourceIdentity: server.identity };
}

/** All that the table's snapshot had is behind the checkpoint. */
function isPast(position: Position, { state, from, until }: KnownTable): boolean {
  return (
    state === 'streaming' &&
    comparePositions(position, from) >= 0 &&
    (until === null || comparePositions(position, until) >= 0)
  );
}
