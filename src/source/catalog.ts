import type { Cascade, ColumnSchema, TableSchema } from '../change/table-schema.ts';
import type { SourceConnection, TextRow } from './connection.ts';
import { readCascades } from './foreign-keys.ts';
import { quoteName, quoteText } from './identifiers.ts';

/** A base table as the source's catalog describes it now. */
export interface CatalogTable {
  readonly schema: TableSchema;
  /** 'InnoDB', 'MyISAM', 'Aria' … */
  readonly engine: string;
  /** The engine's own guess of how many rows there are. */
  readonly estimatedRows: number;
  /** Why its row images cannot be followed, as far as the catalog tells. */
  readonly obstacles: readonly string[];
}

/**
 * Reads every base table of a database from information_schema, which shows an account exactly what it may SELECT. Views and
 * sequences are left out.
 */
export async function readCatalog(connection: SourceConnection, database: string): Promise<CatalogTable[]> {
  const of = `table_schema = ${quoteText(database)}`;
  const tables = await connection.query(
    `select table_name as t, engine as e, table_rows as n, table_type as kind, version() as version
       from information_schema.tables where ${of} and table_type in ('BASE TABLE', 'SYSTEM VERSIONED') order by table_name`,
  );
  const columns = await connection.query(
    `select table_name as t, column_name as name, data_type as type, column_type as full_type, is_nullable as nullable,
            character_set_name as charset, character_maximum_length as length, numeric_precision as digits,
            numeric_scale as scale, datetime_precision as fraction, extra as extra
       from information_schema.columns where ${of} order by table_name, ordinal_position`,
  );
  const indexes = await connection.query(
    `select table_name as t, column_name as name, index_name as index_name, index_type as kind from information_schema.statistics
      where ${of} order by table_name, seq_in_index`,
  );
  const keys = indexes.filter((row) => row['index_name'] === 'PRIMARY');
  const indexesOf = Map.groupBy(indexes, (row) => row['t']);
  const cascadesOf = await readUnloggedCascades(connection, database, tables);
  const columnsOf = Map.groupBy(columns, (row) => row['t']);
  const keysOf = Map.groupBy(keys, (row) => row['t']);
  return tables.map((row) => {
    const table = row['t'] ?? '';
    const described = (columnsOf.get(table) ?? []).map(columnSchema);
    const cascades = cascadesOf.get(table);
    const primaryKey = (keysOf.get(table) ?? []).map(({ name }) =>
      described.findIndex((column) => column.name === name),
    );
    return {
      schema: { table, columns: described, primaryKey, ...(cascades === undefined ? {} : { cascades }) },
      engine: row['e'] ?? '',
      estimatedRows: Number(row['n'] ?? 0),
      obstacles: obstacles(row, columnsOf.get(table) ?? [], indexesOf.get(table) ?? []),
    };
  });
}

/** What of MariaDB's makes row images that are not the columns of the catalog. */
function obstacles(table: TextRow, columns: readonly TextRow[], indexes: readonly TextRow[]): string[] {
  const version = table['version'] ?? '';
  if (!/mariadb/i.test(version)) return [];
  const found: string[] = [];
  if (table['kind'] === 'SYSTEM VERSIONED')
    found.push('it is system-versioned: its row images carry history that is no row of the table');
  if (table['e'] !== 'MEMORY' && indexes.some((index) => index['kind'] === 'HASH'))
    found.push('it has a unique index on a whole blob or text, whose hidden column is in its row images');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (
    (major > 11 || (major === 11 && minor >= 8)) &&
    columns.some(({ extra }) => /generated|persistent|virtual/i.test(extra ?? ''))
  )
    found.push('it has generated columns, which this server leaves out of its row images');
  return found;
}

/** Per table, the foreign keys that change its rows below the binlog; only InnoDB has foreign keys. */
async function readUnloggedCascades(
  connection: SourceConnection,
  database: string,
  tables: readonly TextRow[],
): Promise<Map<string, Cascade[]>> {
  const found = new Map<string, Cascade[]>();
  const [native] = await connection.query(`show global variables like 'innodb_native_foreign_keys'`);
  // MySQL since 9.6 checks foreign keys above the engine and logs what they do.
  if (native?.['Value'] === 'OFF') return found;
  for (const { t: table, e: engine } of tables) {
    if (table === null || table === undefined || engine?.toLowerCase() !== 'innodb') continue;
    const [shown] = await connection.query(`show create table ${quoteName(database)}.${quoteName(table)}`);
    const cascades = readCascades(shown?.['Create Table'] ?? '');
    if (cascades.length > 0) found.set(table, cascades);
  }
  return found;
}

function columnSchema(row: TextRow): ColumnSchema {
  const number = (key: string) => (row[key] === null || row[key] === undefined ? null : Number(row[key]));
  const type = (row['type'] ?? '').toLowerCase();
  return {
    name: row['name'] ?? '',
    type,
    // MariaDB marks columns of the format before 10.1 with a comment: `datetime /* mariadb-5.3 */`.
    fullType: row['full_type'] ?? '',
    nullable: row['nullable'] === 'YES',
    charset: row['charset'] ?? null,
    length: number('length'),
    precision: number('digits'),
    scale: number('scale'),
    fraction: number('fraction') ?? 0,
  };
}
