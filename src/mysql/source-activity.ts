import type { SourceConnection } from './connection.ts';

/** What the server's own counters report about all its clients. */
export interface SourceActivity {
  /** When this was read, by performance.now(). */
  readonly at: number;
  /** Statements that change rows, since the server started. Tidegate sends none. */
  readonly writes: number;
  /** Statements running now, including this query. */
  readonly running: number;
}

/** Every counter of statements that change rows (https://dev.mysql.com/doc/refman/8.4/en/server-status-variables.html#statvar_Com_xxx). */
const writeCounters = [
  'Com_insert',
  'Com_insert_select',
  'Com_update',
  'Com_update_multi',
  'Com_delete',
  'Com_delete_multi',
  'Com_replace',
  'Com_replace_select',
  'Com_load',
];

export async function readActivity(connection: SourceConnection): Promise<SourceActivity> {
  const names = [...writeCounters, 'Threads_running'].map((name) => `'${name}'`).join(', ');
  const rows = await connection.query(`show global status where variable_name in (${names})`);
  const counted = new Map(rows.map((row) => [row['Variable_name']?.toLowerCase(), Number(row['Value'])]));
  return {
    at: performance.now(),
    writes: writeCounters.reduce((sum, name) => sum + (counted.get(name.toLowerCase()) ?? 0), 0),
    running: counted.get('threads_running') ?? 0,
  };
}
