import mysql from 'mysql2/promise';

/** Whether the server answers a login over TCP. */
export async function answersMysql(port: number, user: string, password: string): Promise<boolean> {
  try {
    const connection = await mysql.createConnection({ host: '127.0.0.1', port, user, password, connectTimeout: 2_000 });
    await connection.query('select 1');
    await connection.end();
    return true;
  } catch {
    // Not yet; the caller has a deadline and looks whether the server still lives.
    return false;
  }
}

/** Account that sandbox servers are administered by; they listen on loopback only and are thrown away. */
export const admin = { user: 'root', password: 'sandbox' } as const;
