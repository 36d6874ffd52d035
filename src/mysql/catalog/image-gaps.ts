import type { SourceConnection } from '../connection.ts';
import { quoteText } from '../identifiers.ts';
import { isAtLeast } from '../server-version.ts';

interface TableRow {
  readonly table: string;
  readonly engine: string;
  readonly isVersioned: boolean;
}

/**
 * Tables whose row images do not show their rows exactly, with the reasons, by name. The images would reveal this, too, but only at the
 * first change, when the table is already copied and in use.
 */
export async function readImageGaps(
  connection: SourceConnection,
  database: string,
  tables: readonly TableRow[],
): Promise<Map<string, string[]>> {
  const gaps = new Map<string, string[]>();
  const { version } = connection;
  if (version?.flavor !== 'mariadb') return gaps;
  const add = (table: string | null | undefined, reason: string) =>
    gaps.set(table ?? '', [...(gaps.get(table ?? '') ?? []), reason]);
  const of = `table_schema = ${quoteText(database)}`;

  // Updates arrive as two events and deletes as updates, and both contain rows of the past.
  for (const { table, isVersioned } of tables)
    if (isVersioned) add(table, 'it is system-versioned, so the binlog mixes its rows with those of its past');

  // MEMORY has real hash indexes. Other engines implement one by a hidden column that only the row images have.
  const indexes = await connection.query(
    `select table_name as t, index_name as name from information_schema.statistics
      where ${of} and index_type = 'HASH' and non_unique = 0 and seq_in_index = 1 order by table_name, index_name`,
  );
  const inMemory = new Set(tables.filter(({ engine }) => engine === 'MEMORY').map(({ table }) => table));
  for (const { t, name } of indexes)
    if (!inMemory.has(t ?? ''))
      add(t, `its unique index ${name} is kept by hashes, in a hidden column that only the binlog has`);

  return gaps;
}

/** Columns that row images lack, with the reason, by table and name. */
export async function readColumnGaps(
  connection: SourceConnection,
  database: string,
): Promise<Map<string, Map<string, string>>> {
  const gaps = new Map<string, Map<string, string>>();
  const { version } = connection;
  if (version?.flavor !== 'mariadb' || !isAtLeast(version, lacksGenerated)) return gaps;
  const generated = await connection.query(
    `select table_name as t, column_name as name from information_schema.columns
      where table_schema = ${quoteText(database)} and extra like '%GENERATED%' order by table_name, ordinal_position`,
  );
  const reason = `it is generated, and MariaDB ${version.major}.${version.minor} leaves it out of the images of updated rows`;
  for (const [table, columns] of Map.groupBy(generated, ({ t }) => t ?? ''))
    gaps.set(table, new Map(columns.map(({ name }) => [name ?? '', reason])));
  return gaps;
}

/** Seen on 11.8 and not on 10.11. For versions between them, the first update shows it. */
const lacksGenerated = { mariadb: [11, 8], mysql: null } as const;
