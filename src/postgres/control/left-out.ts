import { isDeepStrictEqual } from 'node:util';
import type { LeftOutGroup, TableState } from './control-schema.ts';
import { hasControlTable } from './migrate.ts';
import type { Reading } from '../session.ts';
import type { Fenced } from './writing.ts';

/** A table that is left out, with the reason. */
export interface LeftOut {
  readonly table: string;
  readonly state: LeftOutGroup['state'];
  readonly reason: string;
}

/** Puts tables that are left out for the same reason together. */
export function grouped(tables: readonly LeftOut[]): LeftOutGroup[] {
  const groups = Map.groupBy(tables, ({ state, reason }) => JSON.stringify([state, reason]));
  return [...groups.values()].map((each) => ({
    state: (each[0] as LeftOut).state,
    reason: (each[0] as LeftOut).reason,
    tables: each.map(({ table }) => table).toSorted(),
  }));
}

/** Records the tables of the source that are not replicated, as its catalog and the settings say. */
export async function keepLeftOut(trx: Fenced, tables: readonly LeftOut[]): Promise<void> {
  const groups = grouped(tables);
  const before = await trx.selectFrom('left_out').select('groups').executeTakeFirst();
  if (before !== undefined && isDeepStrictEqual(before.groups, groups)) return;
  const values = { groups: JSON.stringify(groups) };
  await trx
    .insertInto('left_out')
    .values(values)
    .onConflict((conflict) => conflict.column('singleton').doUpdateSet(values))
    .execute();
}

interface Listed {
  readonly table: string;
  readonly state: TableState;
  readonly reason: string | null;
}

/**
 * Every table that is left out now, by reason: those of the source that are not replicated, and those that `listed` holds as suspended,
 * excluded or gone. Null: no service of this version has looked at the source yet.
 */
export async function readLeftOut(db: Reading, listed: readonly Listed[]): Promise<LeftOutGroup[] | null> {
  if (!(await hasControlTable(db, 'left_out'))) return null;
  const row = await db.selectFrom('left_out').select('groups').executeTakeFirst();
  if (row === undefined) return null;
  // A table that is listed may have changed its state since the service looked at the source.
  const names = new Set(listed.map(({ table }) => table));
  const unlisted = row.groups.flatMap(({ state, reason, tables }) =>
    tables.filter((table) => !names.has(table)).map((table): LeftOut => ({ table, state, reason })),
  );
  const held = listed.flatMap(({ table, state, reason }): LeftOut[] =>
    state === 'suspended' || state === 'excluded' || state === 'gone' ? [{ table, state, reason: reason ?? '' }] : [],
  );
  return grouped([...held, ...unlisted]);
}
