import type { Connection } from 'mysql2/promise';
import { Client } from 'pg';
import type { Replica } from '../../../testing/replica.ts';
import { type TypeCase, paths } from './type-case.ts';

/** Why the stream suspended the table; null if it did not. */
export async function suspendedReason(replica: Replica, table: string): Promise<string | null> {
  const { rows } = await replica.targetAdmin.query<{ reason: string }>(
    `select reason from tidegate_raw.tables where table_name = $1 and state = 'suspended'`,
    [table],
  );
  return rows[0]?.reason ?? null;
}

/** Checks at the target alone that the three rows of a value print alike, and print the text of the case if it has one. */
export async function differences(replica: Replica, one: TypeCase): Promise<string[]> {
  const target = new Client(replica.targetAdminOptions);
  await target.connect();
  try {
    await target.query(
      `set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; set search_path = "${replica.schema}"`,
    );
    const { rows } = await target.query<{ id: number; v: string | null; equal: boolean }>(
      `select s.id, s.v::text as v, s.v::text is not distinct from i.v::text and s.v::text is not distinct from u.v::text
              and i.id is not null and u.id is not null as equal
         from ${one.name} s
         left join ${one.name} i on i.id = s.id + ${paths.insert}
         left join ${one.name} u on u.id = s.id + ${paths.update}
        where s.id < ${paths.insert} order by s.id`,
    );
    const found = rows.filter(({ equal }) => !equal).map(({ id }) => `the paths differ for value ${id}`);
    const printed = new Map(rows.map(({ id, v }) => [id, v]));
    for (const [index, value] of one.values.entries()) {
      if (typeof value === 'string' || !printed.has(index)) continue;
      if (printed.get(index) !== value[1]) found.push(`value ${index} (${value[0].slice(0, 60)}) is not as expected`);
    }
    return found;
  } finally {
    await target.end();
  }
}

/**
 * For cases that PostgreSQL judges: checks for each row that PostgreSQL converts the source's text to the value that it holds.
 */
export async function misread(admin: Connection, replica: Replica, one: TypeCase): Promise<string[]> {
  if (one.byTarget === undefined) return [];
  const [source] = await admin.query(`select id, cast(v as char) as v from ${one.name} order by id`);
  const rows = source as { id: number; v: string | null }[];
  const { rows: counted } = await replica.targetAdmin.query<{ equal: string; all: string }>(
    `select count(*) as all, count(*) filter (where t.v is not distinct from ${one.byTarget}) as equal
       from unnest($1::int[], $2::text[]) s(id, v) full join "${replica.schema}".${one.name} t using (id)`,
    [rows.map(({ id }) => id), rows.map(({ v }) => v)],
  );
  const { all, equal } = counted[0] ?? { all: '0', equal: '0' };
  return Number(all) === rows.length && equal === all
    ? []
    : [`${equal} of ${all} rows equal, ${rows.length} at the source`];
}
