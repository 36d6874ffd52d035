import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import mysql, { type RowDataPacket } from 'mysql2/promise';

/** Whether the server with this data directory answers a login over TCP. Another server may have taken the port first. */
export async function answersMysql(port: number, data: string): Promise<boolean> {
  try {
    const connection = await mysql.createConnection({ host: '127.0.0.1', port, ...admin, connectTimeout: 2_000 });
    const [rows] = await connection.query<RowDataPacket[]>('select @@datadir as folder');
    await connection.end();
    return rows[0]?.['folder'] === `${data}/`;
  } catch {
    // Not ready yet; the caller has a deadline and checks whether the server still runs.
    return false;
  }
}

/** The administrator account of temporary servers. They listen only on loopback and are deleted after use. */
export const admin = { user: 'root', password: 'sandbox' } as const;

/** Options of every server of the family that is private to `folder` and acts as a source. */
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

/** If TIDEGATE_GENERAL_LOG names a folder, every server writes its general log there, so that tests can check it. */
function generalLog(port: number): string[] {
  const folder = process.env['TIDEGATE_GENERAL_LOG'];
  if (folder === undefined) return [];
  return ['--general-log=1', '--log-output=FILE', `--general-log-file=${join(folder, `${port}-${randomUUID()}.log`)}`];
}
