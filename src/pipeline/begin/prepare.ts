import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../../config/config.ts';
import { type Position, formatPosition } from '../../change/position.ts';
import { sqlStateOf } from '../../errors/postgres-errors.ts';
import { type TableCodec, knownCodec } from '../../mapping/table-codec.ts';
import { readCatalog } from '../../mysql/catalog/catalog.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import { readSnapshotPosition } from '../../mysql/position/positions.ts';
import { type Checkpoint, assertEpoch, createCheckpoint, keepDatabase } from '../../postgres/control/checkpoint.ts';
import { recordEvent } from '../../postgres/control/events.ts';
import { endJob, openJobs, readsAll, requestJobs } from '../../postgres/control/jobs.ts';
import type { Target, TargetSession } from '../../postgres/session.ts';
import {
  type KnownTable,
  addTable,
  keepFullRefresh,
  suspendTable,
  readTables,
  excludeTable,
  resumeTable,
} from '../../postgres/control/table-states.ts';
import { addPrimaryKey, createSchema, createTable, reshapeTable } from '../../postgres/rows/tables.ts';
import { assertContinues, readProgress } from './continuation.ts';
import type { CopyTask } from '../snapshot/copy-table.ts';
import { assertSameRules } from './rule-changes.ts';
import { moveToOtherServer } from './server-move.ts';
import { type LeftOutTable, type PlannedTable, planTables, selectionOf } from './table-plan.ts';

export interface Prepared {
  readonly checkpoint: Position;
  /** Tables with rows still to copy. */
  readonly copying: readonly CopyTask[];
  readonly leftOut: readonly LeftOutTable[];
  /** Every table that is streamed or fully refreshed, as the source's catalog has it now. */
  readonly planned: readonly PlannedTable[];
}

/**
 * Brings the target's list of tables in line with the source's: takes new ones in at a position of their own, and back those that
 * were suspended and are to be read again, or were excluded and are selected again; suspends those that are gone, or whose first reading
 * was cancelled, and releases those that are not selected any more. The tables of the beginning are copied before the stream starts;
 * those that come later must not keep it waiting, and are read beside it. Changes nothing when the source cannot continue from the
 * checkpoint, or when the rules of a table are others than it was begun with.
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
  const { database } = config.source;
  const checkpoint = await resumedCheckpoint(replicator, server, database, target, epoch);
  const known = await readTables(target.db);
  const selection = selectionOf(config);
  assertSameRules(known, selection);
  const isKnown = new Set(known.map(({ table }) => table));
  const jobs = await openJobs(target.db);
  const wanted = new Set(jobs.filter(readsAll).map(({ table }) => table));
  const isBack = new Set(
    known
      .filter(
        ({ table, state }) =>
          state === 'excluded' || (['suspended', 'full-refresh'].includes(state) && wanted.has(table)),
      )
      .map(({ table }) => table),
  );
  // The position comes before the catalog: a definition that changes in between is then ahead in the stream, and seen.
  const probe = planTables((await readCatalog(reader, database)).tables, selection);
  const allInnodb = probe.planned.every(({ engine }) => engine.toLowerCase() === 'innodb');
  const isNews =
    checkpoint === null ||
    probe.planned.some(({ codec: { schema } }) => !isKnown.has(schema.table) || isBack.has(schema.table));
  const position = isNews
    ? await readSnapshotPosition(reader, replicator, server, allInnodb, signal)
    : checkpoint.position;
  const { planned, fullRefresh, leftOut } = planTables((await readCatalog(reader, database)).tables, selection);

  const added = planned.filter(({ codec }) => !isKnown.has(codec.schema.table));
  const present = new Set([...planned, ...fullRefresh].map(({ codec }) => codec.schema.table));
  const states = new Map(known.map((table) => [table.table, table]));
  await target.transaction(async (trx) => {
    if (checkpoint === null) await createCheckpoint(trx, epoch, position, { identity: server.identity, database });
    else {
      await assertEpoch(trx, epoch);
      await keepDatabase(trx, database);
    }
    await createSchema(trx, replica);
    for (const { codec } of added) {
      await createTable(trx, replica, codec);
      if (checkpoint !== null) await addPrimaryKey(trx, replica, codec);
      await addTable(trx, codec.source, position, checkpoint === null ? 'snapshotting' : 'backfilling');
    }
    if (checkpoint !== null)
      await requestJobs(trx, unread(known, planned, wanted), {
        kind: 'backfill',
        repair: true,
        condition: null,
        confirmed: false,
      });
    for (const { table, state } of known)
      if (state === 'backfilling' && !wanted.has(table))
        await suspendTable(trx, table, 'its backfill was cancelled before all of it was read');
    for (const { codec } of planned)
      if (states.get(codec.schema.table)?.state === 'full-refresh' && !wanted.has(codec.schema.table))
        await suspendTable(trx, codec.schema.table, 'it has a key by now: backfill it, and it is streamed');
    if (added.length > 0)
      await recordEvent(trx, 'tables-added', {
        tables: added.map(({ codec }) => codec.schema.table),
        at: formatPosition(position),
      });
    for (const { table, state } of known) {
      if (state === 'excluded' || present.has(table)) continue;
      const reason = `the source no longer has it in a form that can be carried${whyLeftOut(leftOut, table)}`;
      if (!selection.isSelected(table)) await excludeTable(trx, table);
      else if (state !== 'suspended') await suspendTable(trx, table, reason);
    }
  });

  for (const { codec } of planned.filter(({ codec }) => isBack.has(codec.schema.table)))
    await reshape(target, epoch, codec, async (trx) => await resumeTable(trx, codec.source, position));
  for (const { codec } of fullRefresh) {
    const before = states.get(codec.schema.table);
    if (before?.state === 'full-refresh' && isDeepStrictEqual(before.schema, codec.source)) continue;
    await reshape(target, epoch, codec, async (trx) => {
      await keepFullRefresh(trx, codec.source, position);
      const told = { tables: [codec.schema.table], at: formatPosition(position) };
      await recordEvent(trx, before === undefined ? 'tables-added' : 'tables-altered', told);
    });
  }
  for (const { id, table } of jobs)
    if (!present.has(table))
      await endJob(target.db, id, {
        state: 'failed',
        reason: selection.isSelected(table)
          ? `the source has no such table that can be carried${whyLeftOut(leftOut, table)}; if it is meant to be gone, add it to TABLES_EXCLUDE and restart`
          : 'TABLES_INCLUDE and TABLES_EXCLUDE do not select it',
      });

  const engines = new Map(planned.map((table) => [table.codec.schema.table, table]));
  const current = await readTables(target.db);
  return {
    checkpoint: checkpoint?.position ?? position,
    leftOut,
    planned: [...planned, ...fullRefresh],
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

/** Tables that are new, or selected again, and that nobody has asked to be read. */
function unread(known: readonly KnownTable[], planned: readonly PlannedTable[], wanted: ReadonlySet<string>): string[] {
  const states = new Map(known.map(({ table, state }) => [table, state]));
  return planned
    .map(({ codec }) => codec.schema.table)
    .filter((table) => ['excluded', undefined].includes(states.get(table)) && !wanted.has(table));
}

/** What something at the target depends on is left as it is. */
const dependedOn = new Set(['2BP01', '0A000']);

/** Gives a table the columns that it has now and takes it in by `take`; where something depends on what it had, it stays suspended. */
async function reshape(
  target: TargetSession,
  epoch: bigint,
  codec: TableCodec,
  take: (trx: Target) => Promise<void>,
): Promise<void> {
  try {
    await target.transaction(async (trx) => {
      await assertEpoch(trx, epoch);
      await reshapeTable(trx, target.targetSchema, codec);
      await take(trx);
    });
  } catch (error) {
    if (!dependedOn.has(sqlStateOf(error) ?? '')) throw error;
    await target.transaction(async (trx) => {
      await assertEpoch(trx, epoch);
      await suspendTable(trx, codec.source.table, hasDependents);
    });
  }
}

const hasDependents =
  'the source has other columns than before, and a view or another object at the target depends on one that must go or change: drop that, backfill again, and make it anew';

function whyLeftOut(leftOut: readonly LeftOutTable[], name: string): string {
  const reasons = leftOut.find(({ table }) => table === name)?.reasons ?? [];
  return reasons.length === 0 ? '' : `: ${reasons.join('; ')}`;
}

/** Where to go on from, which the source can do; null at the beginning. */
async function resumedCheckpoint(
  replicator: SourceConnection,
  server: ServerFlavor,
  database: string,
  target: TargetSession,
  epoch: bigint,
): Promise<Checkpoint | null> {
  const progress = await readProgress(target.db);
  if (progress === null) return null;
  await assertContinues(replicator, server, database, progress);
  const { checkpoint } = progress;
  if (checkpoint.sourceIdentity === server.identity) return checkpoint;
  return await moveToOtherServer(target, epoch, server, checkpoint);
}
