import type { Config } from '../../config/config.ts';
import { type Position, formatPosition } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { recordEvent } from '../../postgres/control/events.ts';
import { endJob, readsAll } from '../../postgres/control/jobs.ts';
import { requestReturn } from '../../postgres/control/requests.ts';
import { keepFullRefresh, resumeTable, suspendTable } from '../../postgres/control/table-states.ts';
import { addPrimaryKey, createTable, recordMade, reshapeTable } from '../../postgres/rows/tables.ts';
import { limitLockWaitsOf } from '../../postgres/rows/lock-timeout.ts';
import type { Fence } from '../../postgres/control/fence.ts';
import type { Fenced } from '../../postgres/control/writing.ts';
import { hasDependents, mayEmpty } from '../jobs/fit-table.ts';
import { type Suspension, suspensionOf } from '../suspension.ts';
import type { TableStep } from './table-steps.ts';

const dependents =
  'the columns at the source have changed, and a view or another object at the target depends on a column that must be dropped or altered: drop that object and create it again when the table streams';

/**
 * Gives a table its present columns and lets it stream from `position`, or be copied as a whole. A job reads its rows. If that fails for a
 * reason that concerns this table alone, the table is suspended and the suspension is returned.
 */
export async function returnTable(
  config: Config,
  fence: Fence,
  one: TableStep & { readonly codec: TableCodec },
  position: Position,
  isRefresh: boolean,
): Promise<(Suspension & { readonly isNew: boolean }) | null> {
  const { table, codec, openJobs } = one;
  try {
    await fence.transaction(async (trx) => {
      await limitLockWaitsOf(trx);
      await fitColumns(trx, config, one);
      if (isRefresh) await keepRefreshed(trx, one, position);
      else {
        await resumeTable(trx, codec.source, position);
        if (!openJobs.some(readsAll)) await requestReturn(trx, table);
      }
      // The list has the table now, also if it is new.
      if (one.standing.kind === 'free') await recordMade(trx, config.target.schema, codec);
    });
    return null;
  } catch (error) {
    const suspension = hasDependents(error) ? { reason: dependents, decision: null } : suspensionOf(error);
    if (suspension === null) throw error;
    const { reason, decision } = suspension;
    const isNew = await fence.transaction(async (trx) => {
      const unconfirmed = error instanceof TidegateError && error.kind === 'unconfirmed';
      for (const { id } of openJobs) await endJob(trx, id, { state: 'failed', reason, unconfirmed });
      return await suspendTable(trx, table, reason, decision);
    });
    return { ...suspension, isNew };
  }
}

async function fitColumns(
  trx: Fenced,
  config: Config,
  { codec, standing, openJobs }: TableStep & { readonly codec: TableCodec },
): Promise<void> {
  const { schema: replica } = config.target;
  if (standing.kind === 'free') {
    await createTable(trx, replica, codec);
    await addPrimaryKey(trx, replica, codec);
    return;
  }
  await reshapeTable(trx, replica, codec, { mayEmpty: mayEmpty(config, openJobs) });
}

async function keepRefreshed(
  trx: Fenced,
  { known, codec }: TableStep & { readonly codec: TableCodec },
  position: Position,
): Promise<void> {
  await keepFullRefresh(trx, codec.source, position);
  await recordEvent(trx, known === undefined ? 'tables-added' : 'tables-altered', {
    tables: [codec.schema.table],
    at: formatPosition(position),
  });
}
