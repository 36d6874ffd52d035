import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../../config/config.ts';
import { type Position, formatPosition } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { knownCodec } from '../../mapping/table-codec.ts';
import { readCatalog } from '../../mysql/catalog/catalog.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import { readSnapshotPosition } from '../../mysql/position/positions.ts';
import { type Checkpoint, createCheckpoint, keepDatabase } from '../../postgres/control/checkpoint.ts';
import { recordEvent } from '../../postgres/control/events.ts';
import { endJob, openJobs, readsAll } from '../../postgres/control/jobs.ts';
import { requestReturn } from '../../postgres/control/requests.ts';
import type { Fence } from '../../postgres/control/fence.ts';
import { type LeftOut, keepLeftOut } from '../../postgres/control/left-out.ts';
import type { Fenced } from '../../postgres/control/writing.ts';
import { addTable, excludeTable, markGone, readTables, suspendTable } from '../../postgres/control/table-states.ts';
import { readStandings } from '../../postgres/rows/standing.ts';
import { addPrimaryKey, createSchema, createTable, recordMade } from '../../postgres/rows/tables.ts';
import type { CopyTask } from '../snapshot/copy-table.ts';
import { assertContinues, readProgress } from './continuation.ts';
import { returnTable } from './return-table.ts';
import { assertSameRules } from './rule-changes.ts';
import { moveToOtherServer } from './server-move.ts';
import { type LeftOutTable, type PlannedTable, type TablePlan, selectionOf } from './table-plan.ts';
import { type TableStep, namesOf, suspensionBy, tableSteps, whyLeftOut } from './table-steps.ts';

export interface Prepared {
  readonly checkpoint: Position;
  /** Tables with rows still to copy. */
  readonly copying: readonly CopyTask[];
  readonly leftOut: readonly LeftOutTable[];
  /** Every table that is streamed or fully refreshed, as the source's catalog describes it now. */
  readonly planned: readonly PlannedTable[];
  /** Tables that were suspended now, with their reasons. */
  readonly suspended: ReadonlyMap<string, string>;
  /** Tables that are new. */
  readonly added: readonly string[];
  /** Tables that the source has dropped since they were last looked at. */
  readonly gone: readonly string[];
}

/**
 * Brings the target's list of tables in line with the source's, as `table-life.ts` decides for each table. Changes nothing when the source
 * cannot continue from the checkpoint. Changes nothing either when a table's column rules differ from those it was started with.
 *
 * New and returning tables begin at a position of their own. The tables of the first run are copied before the stream starts. Later tables
 * must not delay the stream, so they are read beside it.
 */
export async function prepare(
  config: Config,
  source: { reader: SourceConnection; replicator: SourceConnection; server: ServerFlavor },
  fence: Fence,
  signal: AbortSignal,
): Promise<Prepared> {
  const { reader, replicator, server } = source;
  const { session } = fence;
  const replica = config.target.schema;
  const { database } = config.source;
  const checkpoint = await resumedCheckpoint(replicator, server, database, fence);
  const isFirst = checkpoint === null;
  const selection = selectionOf(config);
  const { known, jobs } = {
    known: await readTables(session.db),
    jobs: await openJobs(session.db),
  };
  assertSameRules(known, selection);
  const look = async () => {
    const catalog = await readCatalog(reader, database);
    const names = namesOf(catalog, known);
    const standings = await readStandings(session.db, replica, names);
    return tableSteps({ catalog, selection, known, jobs, standings, isFirst });
  };
  // The position is read before the catalog. If a definition changes in between, the stream still brings that change.
  const probe = await look();
  const allInnodb = probe.plan.planned.every(({ engine }) => engine.toLowerCase() === 'innodb');
  const isNews = isFirst || probe.steps.some(({ step: { action } }) => action === 'add' || action === 'read');
  const position = isNews
    ? await readSnapshotPosition(reader, replicator, server, allInnodb, signal)
    : checkpoint.position;
  const { plan, steps } = isNews ? await look() : probe;

  const suspended = new Map<string, string>();
  const added: string[] = [];
  await fence.transaction(async (trx) => {
    suspended.clear();
    if (isFirst) await createCheckpoint(trx, position, { identity: server.identity, database });
    else await keepDatabase(trx, database);
    await createSchema(trx, replica);
    await keepLeftOut(trx, leftOutOf(plan));
    await endImpossible(trx, steps, plan.leftOut, selection.isSelected);
    added.length = 0;
    for (const one of steps) {
      if (one.step.action === 'add' && (await addNew(trx, replica, one, position, isFirst))) added.push(one.table);
      if (one.step.action === 'exclude') await excludeTable(trx, one.table);
      if (one.step.action === 'mark-gone') await markGone(trx, one.table);
      if (one.step.action !== 'suspend') continue;
      if (one.known === undefined && one.codec !== undefined)
        await addTable(trx, one.codec.source, position, 'suspended');
      const { reason, decision } = suspensionBy(one, plan.leftOut);
      if (await suspendTable(trx, one.table, reason, decision)) suspended.set(one.table, reason);
    }
    if (added.length > 0) await recordEvent(trx, 'tables-added', { tables: added, at: formatPosition(position) });
  });

  for (const one of steps) {
    const { known: before, codec, step } = one;
    if (codec === undefined) continue;
    const isRefresh = step.action === 'refresh';
    if (step.action !== 'read' && !isRefresh) continue;
    // A table in full refresh that is as it was needs nothing.
    const isSame = before?.state === 'full-refresh' && isDeepStrictEqual(before.schema, codec.source);
    if (isRefresh && isSame && one.standing.kind === 'ours') continue;
    const suspension = await returnTable(config, fence, { ...one, codec }, position, isRefresh);
    if (suspension?.isNew === true) suspended.set(one.table, suspension.reason);
  }

  const engines = new Map(plan.planned.map((table) => [table.codec.schema.table, table]));
  const current = await readTables(session.db);
  return {
    checkpoint: checkpoint?.position ?? position,
    leftOut: plan.leftOut,
    planned: [...plan.planned, ...plan.fullRefresh],
    suspended,
    added,
    gone: steps.filter(({ step }) => step.action === 'mark-gone').map(({ table }) => table),
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

/** Makes a new table. False: its name was taken at the target in this moment, so the table is only listed, as suspended. */
async function addNew(
  trx: Fenced,
  replica: string,
  { codec, table, openJobs }: TableStep,
  position: Position,
  isFirst: boolean,
): Promise<boolean> {
  if (codec === undefined) return false;
  try {
    await createTable(trx, replica, codec);
  } catch (error) {
    if (!(error instanceof TidegateError) || error.kind !== 'target-foreign') throw error;
    await addTable(trx, codec.source, position, 'suspended');
    await suspendTable(trx, table, error.message);
    return false;
  }
  await addTable(trx, codec.source, position, isFirst ? 'snapshotting' : 'backfilling');
  await recordMade(trx, replica, codec);
  if (isFirst) return true;
  await addPrimaryKey(trx, replica, codec);
  if (!openJobs.some(readsAll)) await requestReturn(trx, table);
  return true;
}

function leftOutOf({ leftOut, unselected }: TablePlan): LeftOut[] {
  const reason = 'TABLES_INCLUDE and TABLES_EXCLUDE do not select it';
  return [
    ...leftOut.map(({ table, reasons }): LeftOut => ({ table, state: 'refused', reason: reasons.join('; ') })),
    ...unselected.map((table): LeftOut => ({ table, state: 'excluded', reason })),
  ];
}

/** Ends jobs of tables that the source does not have, or not in a form that can be replicated. */
async function endImpossible(
  trx: Fenced,
  steps: readonly TableStep[],
  leftOut: readonly LeftOutTable[],
  isSelected: (table: string) => boolean,
): Promise<void> {
  for (const { table, codec, openJobs } of steps)
    if (codec === undefined)
      for (const { id } of openJobs)
        await endJob(trx, id, {
          state: 'failed',
          reason: isSelected(table)
            ? `the source has no such table that can be replicated${whyLeftOut(leftOut, table)}; if it is meant to be gone, add it to TABLES_EXCLUDE and restart`
            : 'TABLES_INCLUDE and TABLES_EXCLUDE do not select it',
        });
}

/** The checkpoint from which the source can continue; null before the first run. */
async function resumedCheckpoint(
  replicator: SourceConnection,
  server: ServerFlavor,
  database: string,
  fence: Fence,
): Promise<Checkpoint | null> {
  const progress = await readProgress(fence.session.db);
  if (progress === null) return null;
  await assertContinues(replicator, server, database, progress);
  const { checkpoint } = progress;
  if (checkpoint.sourceIdentity === server.identity) return checkpoint;
  return await moveToOtherServer(fence, server, checkpoint);
}
