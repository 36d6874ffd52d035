import type { Connection } from 'mysql2/promise';

/** Accounts with the same opening balance; no complete transaction changes the sum over all of them. */
export const accounts = { count: 200, openingBalance: 1_000 } as const;

/** The keys of the two small tables; all writers compete for them. */
export const hotKeys = 30;

/** Row counts of the tables that make the snapshot take a while; the caller scales them. */
export interface KillTableSizes {
  readonly wide: number;
  readonly composite: number;
  readonly myisam: number;
}

const tables = [
  `create table account (id int not null primary key, balance bigint not null, note varchar(40)) engine=InnoDB`,
  `create table ledger (id bigint not null auto_increment primary key, transfer bigint not null, account int not null,
     amount bigint not null) engine=InnoDB`,
  `create table hot (id int not null primary key, hits int unsigned not null, stamp datetime(6), label varchar(30)) engine=InnoDB`,
  `create table hot_myisam (id int not null primary key, hits int unsigned not null, stamp datetime(6), label varchar(30)) engine=MyISAM`,
  `create table word (word varchar(60) not null primary key, uses int not null) engine=InnoDB
     default character set utf8mb4 collate utf8mb4_general_ci`,
  `create table wide (id bigint unsigned not null primary key, patient bigint, status tinyint unsigned, fee decimal(12,2),
     amount double, day date, changed timestamp(3) null, code varchar(20), note text) engine=InnoDB`,
  `create table composite (branch smallint not null, code char(12) not null, quantity int, tags set('a','b','c'),
     primary key (branch, code)) engine=InnoDB default character set latin1`,
  `create table plain (id int not null auto_increment primary key, flag tinyint not null, body varchar(200), amount double)
     engine=MyISAM default character set utf8mb3`,
  `create table keyless (n int, label varchar(30)) engine=InnoDB`,
];

/** The names of these tables. */
export const killTables = {
  keyed: ['account', 'ledger', 'hot', 'hot_myisam', 'word', 'wide', 'composite', 'plain'],
  keyless: 'keyless',
} as const;

/**
 * Creates and fills the tables of a kill run in the connection's database. `isCrashSafe`: all of them are InnoDB. When the server dies within
 * a statement on MyISAM, the table has rows that the binlog lacks.
 */
export async function createKillTables(
  connection: Connection,
  sizes: KillTableSizes,
  isCrashSafe: boolean,
): Promise<void> {
  for (const ddl of tables) await connection.query(isCrashSafe ? ddl.replace('engine=MyISAM', 'engine=InnoDB') : ddl);
  await insertMany(connection, 'keyless (n, label)', hotKeys, (id) => `(${id}, 'line ${id}')`);
  await insertMany(
    connection,
    'account (id, balance, note)',
    accounts.count,
    (id) => `(${id}, ${accounts.openingBalance}, 'opening')`,
  );
  await insertMany(connection, 'hot (id, hits, stamp, label)', hotKeys, (id) => `(${id}, 0, now(6), 'first')`);
  await insertMany(connection, 'hot_myisam (id, hits, stamp, label)', hotKeys, (id) => `(${id}, 0, now(6), 'first')`);
  await insertMany(
    connection,
    'wide (id, patient, status, fee, amount, day, changed, code, note)',
    sizes.wide,
    (id) =>
      `(${id * 3}, ${id % 977}, ${id % 256}, ${id % 1000}.${10 + (id % 90)}, ${id}.125, '2024-02-${10 + (id % 19)}', now(3), 'D${id % 9999}', 'note\\tabout ${id}')`,
  );
  await insertMany(
    connection,
    'composite (branch, code, quantity, tags)',
    sizes.composite,
    (id) => `(${(id % 200) - 100}, 'c${id}', ${id}, 'a,c')`,
  );
  await insertMany(
    connection,
    'plain (flag, body, amount)',
    sizes.myisam,
    (id) => `(${id % 2}, 'body ${id} \\\\ text', ${id} / 7)`,
  );
}

async function insertMany(
  connection: Connection,
  into: string,
  count: number,
  row: (id: number) => string,
): Promise<void> {
  for (let first = 1; first <= count; first += 2_000) {
    const rows = Array.from({ length: Math.min(2_000, count - first + 1) }, (_, index) => row(first + index));
    await connection.query(`insert into ${into} values ${rows.join(', ')}`);
  }
}
