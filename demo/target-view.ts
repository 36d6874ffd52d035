import type { Client } from 'pg';

export interface CopyState {
  readonly rows: number;
  readonly tables: number;
  readonly suspended: readonly string[];
}

/** The progress of the copy, as the control schema at the target records it. */
export async function readCopyState(target: Client): Promise<CopyState> {
  const [made] = (
    await target.query<{ made: boolean }>(`select to_regclass('tidegate_raw.tables') is not null as made`)
  ).rows;
  if (made?.made !== true) return { rows: 0, tables: 0, suspended: [] };
  const { rows } = await target.query<{ rows: string; tables: number; suspended: string[] }>(
    `select coalesce(sum(copied_rows), 0)::text as rows,
       (count(*) filter (where state = 'streaming'))::int as tables,
       coalesce(array_agg(table_name::text) filter (where state = 'suspended'), '{}') as suspended
     from tidegate_raw.tables`,
  );
  const [state] = rows;
  return { rows: Number(state?.rows ?? 0), tables: state?.tables ?? 0, suspended: state?.suspended ?? [] };
}

/** The rows written to the replica's tables so far, as PostgreSQL counts them; its counts are up to a second late. */
export async function readRowsWritten(target: Client, schema: string): Promise<number> {
  const { rows } = await target.query<{ written: string }>(
    `select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::text as written
     from pg_stat_user_tables where schemaname = $1`,
    [schema],
  );
  return Number(rows[0]?.written ?? 0);
}
