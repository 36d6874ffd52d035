import type { Connection, RowDataPacket } from 'mysql2/promise';

/** The server's description of a column, sufficient to generate a legal value for it. */
export interface SourceColumn {
  readonly name: string;
  /** The bare type, lower case: `int`, `varchar`, `datetime` … MariaDB's json alias is reported as `json`. */
  readonly type: string;
  /** The complete type as the server prints it, with length, members and `unsigned`. */
  readonly fullType: string;
  readonly nullable: boolean;
  readonly charset: string | undefined;
  /** Characters for text, bytes for binary types. */
  readonly length: number;
  readonly precision: number;
  readonly scale: number;
  /** The number of fractional digits of a second. */
  readonly fraction: number;
}

export interface SourceTable {
  readonly name: string;
  readonly engine: string;
  /** Generated columns are left out: the server fills them. */
  readonly columns: readonly SourceColumn[];
  /** Column names in key order; empty without a primary key. */
  readonly primaryKey: readonly string[];
}

interface ColumnRow extends RowDataPacket {
  table_name: string;
  engine: string;
  column_name: string;
  data_type: string;
  column_type: string;
  is_nullable: 'YES' | 'NO';
  character_set_name: string | null;
  character_maximum_length: string | number | null;
  numeric_precision: string | number | null;
  numeric_scale: string | number | null;
  datetime_precision: string | number | null;
  extra: string;
}

interface KeyRow extends RowDataPacket {
  table_name: string;
  column_name: string;
}

/** Quotes a name with backquotes, as MySQL and MariaDB require. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** Every base table of a database, with its columns in order. */
export async function readSourceTables(connection: Connection, database: string): Promise<SourceTable[]> {
  const [columns] = await connection.query<ColumnRow[]>(
    `select c.table_name as table_name, t.engine as engine, c.column_name as column_name, c.data_type as data_type,
            c.column_type as column_type, c.is_nullable as is_nullable, c.character_set_name as character_set_name,
            c.character_maximum_length as character_maximum_length, c.numeric_precision as numeric_precision,
            c.numeric_scale as numeric_scale, c.datetime_precision as datetime_precision, c.extra as extra
       from information_schema.columns c
       join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
      where c.table_schema = ? and t.table_type = 'BASE TABLE'
      order by c.table_name, c.ordinal_position`,
    [database],
  );
  const [keys] = await connection.query<KeyRow[]>(
    `select table_name as table_name, column_name as column_name from information_schema.statistics
      where table_schema = ? and index_name = 'PRIMARY' order by table_name, seq_in_index`,
    [database],
  );
  const jsonColumns = await readJsonAliases(connection, database);
  const primaryKeys = new Map<string, string[]>();
  for (const key of keys)
    primaryKeys.set(key.table_name, [...(primaryKeys.get(key.table_name) ?? []), key.column_name]);
  const tables = new Map<string, { name: string; engine: string; columns: SourceColumn[]; primaryKey: string[] }>();
  for (const row of columns) {
    let table = tables.get(row.table_name);
    if (table === undefined) {
      table = {
        name: row.table_name,
        engine: row.engine,
        columns: [],
        primaryKey: primaryKeys.get(row.table_name) ?? [],
      };
      tables.set(row.table_name, table);
    }
    if (/\b(?:virtual|stored|persistent)\b.*generated|^persistent$/iu.test(row.extra)) continue;
    const json = jsonColumns.has(`${row.table_name}.${row.column_name}`);
    table.columns.push({
      name: row.column_name,
      type: json ? 'json' : row.data_type.toLowerCase(),
      fullType: row.column_type,
      nullable: row.is_nullable === 'YES',
      charset: row.character_set_name ?? undefined,
      length: Number(row.character_maximum_length ?? 0),
      precision: Number(row.numeric_precision ?? 0),
      scale: Number(row.numeric_scale ?? 0),
      fraction: Number(row.datetime_precision ?? 0),
    });
  }
  return [...tables.values()];
}

/** MariaDB's `json` is a longtext with a check constraint; only the constraint distinguishes it. */
async function readJsonAliases(connection: Connection, database: string): Promise<Set<string>> {
  interface CheckRow extends RowDataPacket {
    table_name: string;
    constraint_name: string;
    check_clause: string;
  }
  const [[version]] = await connection.query<RowDataPacket[]>('select version() as version');
  if (!/mariadb/iu.test(String(version?.['version']))) return new Set();
  const [checks] = await connection.query<CheckRow[]>(
    `select table_name as table_name, constraint_name as constraint_name, check_clause as check_clause
       from information_schema.check_constraints where constraint_schema = ?`,
    [database],
  );
  const found = new Set<string>();
  for (const check of checks) {
    if (check.check_clause === `json_valid(${quoteName(check.constraint_name)})`) {
      found.add(`${check.table_name}.${check.constraint_name}`);
    }
  }
  return found;
}
