import type { SourceConnection } from './connection.ts';

/** What the server's own counters report about all its clients. */
export interface SourceActivity {
  /** When this was read, by performance.now(). */
  readonly at: number;
  /** Statements that change rows, since the server started. Tidegate sends none. */
  readonly writes: number;
  /** Statements running now, including this query. The server also counts those that sleep or wait. */
  readonly running: number;
  /** Calls to the storage engines since the server started. A statement that works on rows makes many, also before it ends. */
  readonly calls: number;
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

/** https://dev.mysql.com/doc/refman/8.4/en/server-status-variables.html#statvar_Handler_delete. Only MariaDB counts those of temporary tables apart. */
const callCounters = [
  'Handler_delete',
  'Handler_read_first',
  'Handler_read_key',
  'Handler_read_last',
  'Handler_read_next',
  'Handler_read_prev',
  'Handler_read_rnd',
  'Handler_read_rnd_next',
  'Handler_tmp_update',
  'Handler_tmp_write',
  'Handler_update',
  'Handler_write',
];

export async function readActivity(connection: SourceConnection): Promise<SourceActivity> {
  const names = [...writeCounters, ...callCounters, 'Threads_running'].map((name) => `'${name}'`).join(', ');
  const rows = await connection.query(`show global status where variable_name in (${names})`);
  const counted = new Map(rows.map((row) => [row['Variable_name']?.toLowerCase(), Number(row['Value'])]));
  const sum = (names: readonly string[]) =>
    names.reduce((sum, name) => sum + (counted.get(name.toLowerCase()) ?? 0), 0);
  return {
    at: performance.now(),
    writes: sum(writeCounters),
    calls: sum(callCounters),
    running: counted.get('threads_running') ?? 0,
  };
}
