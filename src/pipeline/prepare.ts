import type { Config } from '../config/config.ts';
import { type Position, formatPosition } from '../change/position.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { type TableCodec, tableCodec } from '../mapping/table-codec.ts';
import { readCatalog } from '../source/catalog.ts';
import type { SourceConnection } from '../source/connection.ts';
import type { ServerFlavor } from '../source/server-flavor.ts';
import { readSnapshotPosition } from '../source/positions.ts';
import { type Checkpoint, assertEpoch, createCheckpoint } from '../target/checkpoint.ts';
import { recordEvent } from '../target/events.ts';
import type { TargetSession } from '../target/session.ts';
import { type KnownTable, addTable, parkTable, readTables } from '../target/table-states.ts';
import { createSchema, createTable } from '../target/tables.ts';
import { assertContinues, readProgress } from './continuation.ts';
import type { CopyTask } from './copy-table.ts';
import { assertSameRules } from './rule-changes.ts';
import { moveToOtherServer } from './server-move.ts';
import { type LeftOutTable, planTables, selectionOf } from './table-plan.ts';

export interface Prepared {
  readonly checkpoint: Position;
  /** Tables with rows still to copy. */
  readonly copying: readonly CopyTask[];
  readonly leftOut: readonly LeftOutTable[];
}

/**
 * Brings the target's list of tables in line with the source's: takes new ones in at a position of their own, parks those
 * that are gone or no longer selected. Changes nothing when the source cannot continue from the checkpoint, or when the
 * rules of a table are others than it was begun with.
 */
export async function prepare(
  config: Config,
  epoch: bigint,
  source: { reader: SourceConnection; replicator: SourceConnection; server: ServerFlavor },
  target: TargetSession,
  signal: AbortSignal,
): Promise<Prepared> {
  const { reader, replicator, server } = source;
  const replica = config.target.schema;
  const checkpoint = await resumedCheckpoint(replicator, server, target, replica, epoch);
  const known = await readTables(target.db, replica);
  const selection = selectionOf(config);
  assertSameRules(known, selection);
  const isKnown = new Set(known.map(({ table }) => table));
  // The position comes before the catalog: a definition that changes in between is then ahead in the stream, and seen.
  const probe = planTables((await readCatalog(reader, config.source.database)).tables, selection);
  const allInnodb = probe.planned.every(({ engine }) => engine.toLowerCase() === 'innodb');
  const isNews = checkpoint === null || probe.planned.some(({ codec }) => !isKnown.has(codec.schema.table));
  const position = isNews
    ? await readSnapshotPosition(reader, replicator, server, allInnodb, signal)
    : checkpoint.position;
  const { planned, leftOut } = planTables((await readCatalog(reader, config.source.database)).tables, selection);

  const added = planned.filter(({ codec }) => !isKnown.has(codec.schema.table));
  const present = new Set(planned.map(({ codec }) => codec.schema.table));
  await target.transaction(async (trx) => {
    if (checkpoint === null) await createCheckpoint(trx, replica, epoch, position, server.identity);
    else await assertEpoch(trx, replica, epoch);
    await createSchema(trx, replica);
    for (const { codec } of added) {
      await createTable(trx, replica, codec);
      await addTable(trx, replica, codec.source, position);
    }
    if (added.length > 0)
      await recordEvent(trx, replica, 'tables-added', {
        tables: added.map(({ codec }) => codec.schema.table),
        at: formatPosition(position),
      });
    for (const { table, state } of known)
      if (state !== 'parked' && !present.has(table))
        await parkTable(
          trx,
          replica,
          table,
          selection.isSelected(table)
            ? `the source no longer has it in a form that can be carried${whyLeftOut(leftOut, table)}`
            : 'TABLES_INCLUDE and TABLES_EXCLUDE no longer select it',
        );
  });

  const engines = new Map(planned.map((table) => [table.codec.schema.table, table]));
  const current = await readTables(target.db, replica);
  return {
    checkpoint: checkpoint?.position ?? position,
    leftOut,
    copying: current
      .filter(({ state }) => state === 'snapshotting')
      .map(({ table, schema, copiedKey, copiedRows }) => ({
        codec: knownCodec(schema),
        engine: engines.get(table)?.engine ?? '',
        estimatedRows: engines.get(table)?.estimatedRows ?? 0,
        copiedKey,
        copiedRows,
      })),
  };
}

function whyLeftOut(leftOut: readonly LeftOutTable[], name: string): string {
  const reasons = leftOut.find(({ table }) => table === name)?.reasons ?? [];
  return reasons.length === 0 ? '' : `: ${reasons.join('; ')}`;
}

/** Where to go on from, which the source can do; null at the beginning. */
async function resumedCheckpoint(
  replicator: SourceConnection,
  server: ServerFlavor,
  target: TargetSession,
  replica: string,
  epoch: bigint,
): Promise<Checkpoint | null> {
  const progress = await readProgress(target.db, replica);
  if (progress === null) return null;
  await assertContinues(replicator, server, progress);
  const { checkpoint } = progress;
  if (checkpoint.sourceIdentity === server.identity) return checkpoint;
  return await moveToOtherServer(target, replica, epoch, server, checkpoint);
}

/** A schema that was carried once can be again, unless this version of Tidegate knows less than the one that stored it. */
export function knownCodec(schema: KnownTable['schema']): TableCodec {
  const codec = tableCodec(schema);
  if ('refused' in codec)
    throw new TidegateError(
      'internal',
      `table ${schema.table}: ${codec.refused.map(({ column, reason }) => `column ${column}: ${reason}`).join('; ')}`,
    );
  return codec;
}
