import type { Connection, RowDataPacket } from 'mysql2/promise';

/** One privilege on one scope, in the form of a GRANT. */
export interface PrivilegeCase {
  /** Upper case, as SHOW GRANTS prints it. */
  readonly privilege: string;
  readonly level: 'everything' | 'the database' | 'a pattern' | 'a table' | 'a column' | 'a routine' | 'an account';
  readonly grant: (grantee: string) => string;
}

/** MariaDB prints this privilege under its newer name. */
const printed: Readonly<Record<string, string>> = { 'REPLICATION CLIENT': 'BINLOG MONITOR' };

/** Error numbers of a meaningless GRANT: wrong usage, no such privilege at this level, syntax, no right to grant it. */
const senseless = new Set([1064, 1144, 1221, 1698, 3619, 3942]);

/** Every privilege that the server lists, on every scope on which it can be granted. */
export async function privilegeCases(admin: Connection, database: string): Promise<PrivilegeCase[]> {
  const [rows] = await admin.query<RowDataPacket[]>('show privileges');
  const names = rows.map((row) => String(row['Privilege']).toUpperCase()).filter((name) => name !== 'USAGE');
  const exact = `\`${database.replaceAll('_', String.raw`\_`)}\``;
  const [, version = ''] = /^(.*)$/.exec(await versionOf(admin)) ?? [];
  if (!version.includes('MariaDB')) await letProxy(admin);
  const possible = ['ALL PRIVILEGES', ...names].flatMap((name): PrivilegeCase[] => {
    const privilege = version.includes('MariaDB') ? (printed[name] ?? name) : name;
    if (name === 'PROXY')
      return [{ privilege, level: 'an account', grant: (to) => `grant proxy on root@localhost to ${to}` }];
    const on = (level: PrivilegeCase['level'], scope: string, columns = ''): PrivilegeCase => ({
      privilege,
      level,
      grant: (to) => `grant ${name.toLowerCase()}${columns} on ${scope} to ${to}`,
    });
    return [
      on('everything', '*.*'),
      on('the database', `${exact}.*`),
      on('a pattern', `\`${database.slice(0, 4)}%\`.*`),
      on('a table', `\`${database}\`.patient`),
      on('a column', `\`${database}\`.patient`, ' (LName)'),
      on('a routine', `procedure \`${database}\`.chore`),
    ];
  });
  return await onlySensible(admin, possible);
}

/** MySQL's administrators may grant PROXY only if it was granted to them. */
async function letProxy(admin: Connection): Promise<void> {
  const [[row]] = await admin.query<RowDataPacket[]>('select current_user() as account');
  const [user, host] = String(row?.['account']).split('@');
  await admin.query(
    `replace into mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor, Timestamp) values (?, ?, '', '', 1, '', now())`,
    [host, user],
  );
  await admin.query('flush privileges');
}

/** The cases that the server accepts, tried with an unused account. */
async function onlySensible(admin: Connection, cases: readonly PrivilegeCase[]): Promise<PrivilegeCase[]> {
  const sensible: PrivilegeCase[] = [];
  await admin.query(`create user nobody@'127.0.0.9'`);
  for (const one of cases) {
    try {
      await admin.query(one.grant(`nobody@'127.0.0.9'`));
      sensible.push(one);
    } catch (error) {
      if (!senseless.has(Number((error as { errno?: number }).errno))) throw error;
    }
  }
  await admin.query(`drop user nobody@'127.0.0.9'`);
  return sensible;
}

async function versionOf(admin: Connection): Promise<string> {
  const [[row]] = await admin.query<RowDataPacket[]>('select version() as v');
  return String(row?.['v']);
}

/** The privileges that only read; repeated here independently of the program. */
const reads = new Set([
  ...['SELECT', 'SHOW VIEW', 'SHOW DATABASES', 'SHOW CREATE ROUTINE', 'SHOW_ROUTINE'],
  ...['REPLICATION CLIENT', 'BINLOG MONITOR', 'SLAVE MONITOR'],
]);

/** The level at which the check must report this privilege of an account. */
export function promised(
  role: 'reader' | 'replicator',
  { privilege, level }: PrivilegeCase,
  through: 'itself' | 'a role' | 'PUBLIC',
): 'error' | 'warning' | null {
  const isOfBinlog = /^(REPLICATION (SLAVE|CLIENT)|BINLOG MONITOR|SLAVE MONITOR)$/.test(privilege);
  if (role === 'replicator') {
    if (isOfBinlog) return null;
    return through === 'PUBLIC' && reads.has(privilege) && privilege !== 'SELECT' ? null : 'error';
  }
  if (!reads.has(privilege)) return 'error';
  if (through === 'PUBLIC') return null;
  return /^(SELECT|SHOW VIEW)$/.test(privilege) && level !== 'everything' ? null : 'warning';
}
