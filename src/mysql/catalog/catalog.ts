import type { Cascade, ColumnSchema, TableSchema } from '../../definition/table-schema.ts';
import { repairInWords } from '../../errors/mysql-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { SourceConnection, TextRow } from '../connection.ts';
import { keepsItsRows } from '../engines.ts';
import { readCascades } from './foreign-keys.ts';
import { readMergedTables } from '../merged-tables.ts';
import { tokenize } from '../tokenize.ts';
import { quoteName, quoteText } from '../identifiers.ts';
import { readColumnGaps, readImageGaps } from './image-gaps.ts';
import { sessionDependence } from './session-dependence.ts';
import { isAtLeast } from '../server-version.ts';
import { readTableKeys } from './table-keys.ts';

/** A base table as the source's catalog describes it now. */
export interface CatalogTable {
  readonly schema: TableSchema;
  /** 'InnoDB', 'MyISAM', 'Aria' … */
  readonly engine: string;
  /** The engine's own estimate of the number of rows. */
  readonly estimatedRows: number;
  /** The reasons why its rows cannot be replicated exactly; empty: none is known. */
  readonly obstacles: readonly string[];
  /** The source cannot open it now. A repair there, which no other event shows, cures that. */
  readonly isDamaged: boolean;
  /** The same for single columns, by name. */
  readonly columnObstacles: ReadonlyMap<string, string>;
}

export interface Catalog {
  readonly tables: readonly CatalogTable[];
  /** Objects in the list of tables that are no base tables, by name, with their kind: 'view', 'sequence'. */
  readonly others: ReadonlyMap<string, string>;
}

/** Reads the tables of a database from information_schema, which shows an account exactly the tables it may SELECT. */
export async function readCatalog(connection: SourceConnection, database: string): Promise<Catalog> {
  const of = `table_schema = ${quoteText(database)}`;
  const all = await connection.query(
    `select table_name as t, engine as e, table_rows as n, table_type as type from information_schema.tables where ${of} order by table_name`,
  );
  const tables = all.filter(({ type }) => tableTypes.has(type ?? ''));
  const others = all.filter(({ type }) => !tableTypes.has(type ?? ''));
  const columnsOf = await readColumns(connection, database);
  const keyOf = await readTableKeys(connection, database, columnsOf);
  const gapsOf = await readImageGaps(
    connection,
    database,
    tables.map(({ t, e, type }) => ({ table: t ?? '', engine: e ?? '', isVersioned: type === 'SYSTEM VERSIONED' })),
  );
  const columnGapsOf = await readColumnGaps(connection, database);
  const cascadesOf = await readUnloggedCascades(connection, database, tables);
  const mergesOf = await readMerges(connection, database, tables);
  const described = tables.map((row): CatalogTable => {
    const table = row['t'] ?? '';
    const engine = row['e'] ?? '';
    const columns = columnsOf.get(table) ?? [];
    const cascades = [...(cascadesOf.get(table) ?? []), ...(mergesOf.get(table) ?? [])];
    const key = keyOf.get(table) ?? { primaryKey: [] };
    // A table without a key is copied in full refresh, which needs no binlog. Then any engine is fine.
    const isFollowed = key.primaryKey.length === 0 || keepsItsRows(engine);
    return {
      schema: { table, columns, ...key, ...(cascades.length === 0 ? {} : { cascades }) },
      engine,
      estimatedRows: Number(row['n'] ?? 0),
      obstacles: isOpened(row)
        ? [...(gapsOf.get(table) ?? []), ...(isFollowed ? [] : [keptElsewhere(engine)])]
        : [cannotOpen(`${quoteName(database)}.${quoteName(table)}`)],
      isDamaged: !isOpened(row),
      columnObstacles: columnGapsOf.get(table) ?? new Map(),
    };
  });
  return { tables: described, others: new Map(others.map(({ t, type }) => [t ?? '', (type ?? '').toLowerCase()])) };
}

/** The columns of each table of a database, in order. */
export async function readColumns(
  connection: SourceConnection,
  database: string,
): Promise<Map<string, ColumnSchema[]>> {
  const { version } = connection;
  const hasVirtual = version !== null && isAtLeast(version, haveVirtual);
  const columns = await connection.query(
    `select table_name as t, column_name as name, data_type as type, column_type as full_type, is_nullable as nullable,
            character_set_name as charset, character_maximum_length as length, numeric_precision as digits,
            numeric_scale as scale, datetime_precision as fraction, extra as extra, ${hasVirtual ? 'generation_expression' : 'null'} as expression
       from information_schema.columns where table_schema = ${quoteText(database)} order by table_name, ordinal_position`,
  );
  const isMysql = version?.flavor === 'mysql';
  return new Map(
    [...Map.groupBy(columns, ({ t }) => t ?? '')].map(([table, rows]) => [
      table,
      withSessionDependence(rows.map(columnSchema), rows, isMysql),
    ]),
  );
}

const haveVirtual = { mariadb: [10, 2], mysql: [5, 7] } as const;

/** Marks the virtual columns whose values depend on the session, and those that read one of them. */
function withSessionDependence(
  columns: readonly ColumnSchema[],
  rows: readonly TextRow[],
  isMysql: boolean,
): ColumnSchema[] {
  let marked = [...columns];
  for (;;) {
    const known = marked;
    const next = known.map((column, index) => {
      const { extra, expression } = rows[index] ?? {};
      if (column.perSession !== undefined || extra?.includes('VIRTUAL') !== true) return column;
      // MySQL escapes the expression as if it were a text.
      const sql = isMysql ? (expression ?? '').replaceAll(/\\([\s\S])/g, '$1') : (expression ?? '');
      const perSession = sessionDependence(column, sql, known);
      return perSession === null ? column : { ...column, perSession };
    });
    if (next.every((column, index) => column === known[index])) return next;
    marked = next;
  }
}

function cannotOpen(table: string): string {
  return `the source cannot open it because it is damaged. ${repairInWords(table)}`;
}

function keptElsewhere(engine: string): string {
  return `its engine ${engine} does not store its rows itself, so the binlog does not have every change of them`;
}

/** A server without a data dictionary shows only the name and the columns of a table that it cannot open. */
function isOpened({ e: engine }: TextRow): boolean {
  return engine !== null && engine !== undefined;
}

const tableTypes = new Set(['BASE TABLE', 'SYSTEM VERSIONED']);

/** Per table, the foreign keys that change its rows below the binlog. Only InnoDB has foreign keys. */
async function readUnloggedCascades(
  connection: SourceConnection,
  database: string,
  tables: readonly TextRow[],
): Promise<Map<string, Cascade[]>> {
  const found = new Map<string, Cascade[]>();
  const [native] = await connection.query(`show global variables like 'innodb_native_foreign_keys'`);
  // MySQL since 9.6 checks foreign keys above the engine and logs the changes they make.
  if (native?.['Value'] === 'OFF') return found;
  for (const { t: table, e: engine } of tables) {
    if (table === null || table === undefined || engine?.toLowerCase() !== 'innodb') continue;
    const cascades = readCascades(await readDefinition(connection, `${quoteName(database)}.${quoteName(table)}`));
    if (cascades.length > 0) found.set(table, cascades);
  }
  return found;
}

/** Per table, the MERGE tables of this database that show its rows. */
async function readMerges(
  connection: SourceConnection,
  database: string,
  tables: readonly TextRow[],
): Promise<Map<string, Cascade[]>> {
  const found = new Map<string, Cascade[]>();
  for (const { t: parent, e: engine } of tables) {
    if (parent === null || parent === undefined || engine?.toLowerCase() !== 'mrg_myisam') continue;
    const definition = await readDefinition(connection, `${quoteName(database)}.${quoteName(parent)}`);
    for (const member of readMergedTables(tokenize(definition), database))
      if (member.database.toLowerCase() === database.toLowerCase())
        found.set(member.table, [
          ...(found.get(member.table) ?? []),
          { constraint: null, parentDatabase: null, parent, columns: [], onDelete: true, onUpdate: true },
        ]);
  }
  return found;
}

/** Empty if the table is gone since it was listed, or damaged. A later read of its rows reports that. */
async function readDefinition(connection: SourceConnection, table: string): Promise<string> {
  const shown = await connection.query(`show create table ${table}`).catch((error: unknown): TextRow[] => {
    if (error instanceof TidegateError && error.kind === 'source-table') return [];
    throw error;
  });
  return shown[0]?.['Create Table'] ?? '';
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
