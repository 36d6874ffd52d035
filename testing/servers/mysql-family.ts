import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import mysql, { type RowDataPacket } from 'mysql2/promise';

/** Whether the server with this data directory, and not another one that got the port first, answers a login over TCP. */
export async function answersMysql(port: number, data: string): Promise<boolean> {
  try {
    const connection = await mysql.createConnection({ host: '127.0.0.1', port, ...admin, connectTimeout: 2_000 });
    const [rows] = await connection.query<RowDataPacket[]>('select @@datadir as folder');
    await connection.end();
    return rows[0]?.['folder'] === `${data}/`;
  } catch {
    // Not yet; the caller has a deadline and looks whether the server still lives.
    return false;
  }
}

/** Account that sandbox servers are administered by; they listen on loopback only and are thrown away. */
export const admin = { user: 'root', password: 'sandbox' } as const;

/** Options of any server of the family that is private to `folder`, and a source. */
export function privateOptions(folder: string, port: number): string[] {
  return [
    ...[
      '--bind-address=127.0.0.1',
      `--port=${port}`,
      `--socket=${join(folder, 's')}`,
      `--pid-file=${join(folder, 'pid')}`,
    ],
    ...[`--server-id=${port}`, '--log-bin=binlog', '--binlog-format=ROW', '--binlog-row-image=FULL'],
    '--skip-name-resolve',
    ...generalLog(port),
  ];
}

/** Where TIDEGATE_GENERAL_LOG names a folder, every server writes down there what it is asked, for whoever wants to judge it. */
function generalLog(port: number): string[] {
  const folder = process.env['TIDEGATE_GENERAL_LOG'];
  if (folder === undefined) return [];
  return ['--general-log=1', '--log-output=FILE', `--general-log-file=${join(folder, `${port}-${randomUUID()}.log`)}`];
}
