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
  /** Every table that is streamed or fully refreshed, as the source's catalog describes it now. */
  readonly planned: readonly PlannedTable[];
}

/**
 * Brings the target's list of tables in line with the source's. Changes nothing when the source cannot continue from the checkpoint.
 * Changes nothing either when a table's column rules differ from those it was started with.
 *
 * - New tables are added at a position of their own.
 * - Suspended tables are resumed if a job is to read them again. Excluded tables are resumed if they are selected again.
 * - Tables that are gone are suspended, and so are tables whose first backfill was cancelled.
 * - Tables that are no longer selected are excluded.
 *
 * The tables of the first run are copied before the stream starts. Later tables must not delay the stream, so they are read beside it.
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
  // The position is read before the catalog. If a definition changes in between, the stream still brings that change.
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
        await suspendTable(trx, codec.schema.table, 'it has a key now: backfill it to have it streamed');
    if (added.length > 0)
      await recordEvent(trx, 'tables-added', {
        tables: added.map(({ codec }) => codec.schema.table),
        at: formatPosition(position),
      });
    for (const { table, state } of known) {
      if (state === 'excluded' || present.has(table)) continue;
      const reason = `the source no longer has it in a form that can be replicated${whyLeftOut(leftOut, table)}`;
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
      const detail = { tables: [codec.schema.table], at: formatPosition(position) };
      await recordEvent(trx, before === undefined ? 'tables-added' : 'tables-altered', detail);
    });
  }
  for (const { id, table } of jobs)
    if (!present.has(table))
      await endJob(target.db, id, {
        state: 'failed',
        reason: selection.isSelected(table)
          ? `the source has no such table that can be replicated${whyLeftOut(leftOut, table)}; if it is meant to be gone, add it to TABLES_EXCLUDE and restart`
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

/** New tables, and tables selected again, that no open job is to read. */
function unread(known: readonly KnownTable[], planned: readonly PlannedTable[], wanted: ReadonlySet<string>): string[] {
  const states = new Map(known.map(({ table, state }) => [table, state]));
  return planned
    .map(({ codec }) => codec.schema.table)
    .filter((table) => ['excluded', undefined].includes(states.get(table)) && !wanted.has(table));
}

/** SQLSTATEs of PostgreSQL when another object depends on a column that would change. Such a column stays unchanged. */
const dependedOn = new Set(['2BP01', '0A000']);

/** Gives a table its present columns and adds it by `add`. If another object depends on an old column, the table stays suspended. */
async function reshape(
  target: TargetSession,
  epoch: bigint,
  codec: TableCodec,
  add: (trx: Target) => Promise<void>,
): Promise<void> {
  try {
    await target.transaction(async (trx) => {
      await assertEpoch(trx, epoch);
      await reshapeTable(trx, target.targetSchema, codec);
      await add(trx);
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
  'the columns at the source have changed, and a view or another object at the target depends on a column that must be dropped or altered: drop that object, backfill again, and create it again';

function whyLeftOut(leftOut: readonly LeftOutTable[], name: string): string {
  const reasons = leftOut.find(({ table }) => table === name)?.reasons ?? [];
  return reasons.length === 0 ? '' : `: ${reasons.join('; ')}`;
}

/** The checkpoint from which the source can continue; null before the first run. */
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
