import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';

const patienceMs = 30_000;

/**
 * Purges every binlog file but the last, and waits until they are gone. The server keeps a file for a while: a dump thread notices late
 * that its client has left, and InnoDB syncs late.
 */
export async function purgeBinlogs(admin: Connection): Promise<void> {
  for (const deadline = Date.now() + patienceMs; ; await sleep(100)) {
    const [files] = await admin.query<RowDataPacket[]>('show binary logs');
    if (files.length === 1) return;
    if (Date.now() > deadline) throw new Error(`${files.length} binlog files are there after ${patienceMs} ms`);
    await admin.query('purge binary logs to ?', [files.at(-1)?.['Log_name']]);
  }
}
