import { sql } from 'kysely';
import type { Conversion, ConversionKind } from '../../change/conversion.ts';
import type { Reading } from '../session.ts';
import type { Fenced } from './writing.ts';

/** Adds the conversions in the rows of tables to the counts of the control schema, in the transaction of those rows. */
export async function recordConversions(
  trx: Fenced,
  tables: Iterable<readonly [table: string, conversions: Iterable<Conversion>]>,
): Promise<void> {
  const rows = [...tables].flatMap(([table, conversions]) =>
    [...conversions].map(({ column, kind, count }) => ({ table_name: table, column_name: column, kind, count })),
  );
  if (rows.length === 0) return;
  await trx
    .insertInto('conversions')
    .values(rows)
    .onConflict((conflict) =>
      conflict
        .columns(['table_name', 'column_name', 'kind'])
        .doUpdateSet({ count: sql`conversions.count + excluded.count` }),
    )
    .execute();
}

/** Replaces the counts of a table after all of its rows were read again. */
export async function replaceConversions(trx: Fenced, table: string, conversions: Iterable<Conversion>): Promise<void> {
  await trx.deleteFrom('conversions').where('table_name', '=', table).execute();
  await recordConversions(trx, [[table, conversions]]);
}

/** How many values of a column were converted since the replica was created. */
export interface ConvertedColumn {
  readonly table: string;
  readonly column: string;
  readonly kind: ConversionKind;
  readonly count: number;
}

export async function readConversions(db: Reading): Promise<ConvertedColumn[]> {
  const rows = await db
    .selectFrom('conversions')
    .select(['table_name', 'column_name', 'kind', 'count'])
    .orderBy('table_name')
    .orderBy('column_name')
    .orderBy('kind')
    .execute();
  return rows.map((row) => ({
    table: row.table_name,
    column: row.column_name,
    kind: row.kind,
    count: Number(row.count),
  }));
}
