import { type Insertable, sql } from 'kysely';
import type { Conversions } from '../mapping/codec.ts';
import type { TableCodec } from '../mapping/table-codec.ts';
import type { ConversionsTable } from './control-schema.ts';
import type { Target } from './session.ts';

type Row = Insertable<ConversionsTable>;

/** Adds what was converted since the last call to the counts in the control schema, and starts counting anew. */
export async function recordConversions(trx: Target, replica: string, codecs: Iterable<TableCodec>): Promise<void> {
  const counted: Row[] = [];
  for (const { schema, conversions } of codecs) {
    for (const [index, counts] of conversions.entries()) {
      if (counts.total === 0) continue;
      counted.push(...rows(replica, schema.table, schema.columns[index]?.name ?? '', counts));
      counts.dateToNull = 0;
      counts.nulReplaced = 0;
      counts.sentinelToNull = 0;
    }
  }
  if (counted.length === 0) return;
  await trx
    .insertInto('tidegate.conversions')
    .values(counted)
    .onConflict((conflict) =>
      conflict
        .columns(['replica', 'table_name', 'column_name', 'kind'])
        .doUpdateSet({ count: sql`conversions.count + excluded.count` }),
    )
    .execute();
}

function rows(replica: string, table: string, column: string, counts: Conversions): Row[] {
  const row = (kind: ConversionsTable['kind'], count: number): Row[] =>
    count === 0 ? [] : [{ replica, table_name: table, column_name: column, kind, count }];
  return [
    ...row('date-to-null', counts.dateToNull),
    ...row('nul-replaced', counts.nulReplaced),
    ...row('sentinel-to-null', counts.sentinelToNull),
  ];
}
