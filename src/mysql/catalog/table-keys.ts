import type { ColumnSchema, TableSchema } from '../../definition/table-schema.ts';
import type { SourceConnection, TextRow } from '../connection.ts';
import { quoteText } from '../identifiers.ts';
import { type ServerVersion, isAtLeast } from '../server-version.ts';

/** The columns that identify the rows of a table. */
export type TableKey = Pick<TableSchema, 'primaryKey' | 'keyIndex'>;

/**
 * The key of each table of a database, by name: the primary key. Without one, it is the unique index with the fewest columns among those
 * that can be a key. `columnsOf`: the columns of each table.
 */
export async function readTableKeys(
  connection: SourceConnection,
  database: string,
  columnsOf: ReadonlyMap<string, readonly ColumnSchema[]>,
): Promise<Map<string, TableKey>> {
  const parts = await connection.query(
    `select table_name as t, index_name as i, column_name as name, index_type as type, sub_part as prefix,
            collation as direction${hiddenColumn(connection.version)}
       from information_schema.statistics where table_schema = ${quoteText(database)} and non_unique = 0
      order by table_name, index_name, seq_in_index`,
  );
  const keys = new Map<string, TableKey>();
  for (const [table, ofTable] of Map.groupBy(parts, ({ t }) => t ?? '')) {
    const columns = columnsOf.get(table) ?? [];
    const indexes = [...Map.groupBy(ofTable, ({ i }) => i ?? '')].map(([name, parts]) => ({
      name,
      parts,
      columns: parts.map((part) => columns.findIndex((column) => column.name === part['name'])),
    }));
    const primary = indexes.find(({ name }) => name === 'PRIMARY');
    const [other] = indexes
      .filter((index) => isOrdered(index.parts) && index.columns.every((at) => columns[at]?.nullable === false))
      .toSorted((a, b) => a.columns.length - b.columns.length || (a.name < b.name ? -1 : 1));
    if (primary !== undefined) keys.set(table, { primaryKey: primary.columns });
    else if (other !== undefined) keys.set(table, { primaryKey: other.columns, keyIndex: other.name });
  }
  return keys;
}

/** The column that shows whether the optimizer ignores an index: `force index` cannot use such an index. Older servers have none. */
function hiddenColumn(version: ServerVersion | null): string {
  if (version === null) return '';
  if (isAtLeast(version, { mariadb: [10, 6], mysql: null })) return ', ignored as hidden';
  return isAtLeast(version, { mariadb: null, mysql: [8, 0] }) ? ', is_visible as visible' : '';
}

/** Whether rows can be read from an index in the order of complete column values, without a sort. */
function isOrdered(parts: readonly TextRow[]): boolean {
  return (
    // Our `order by` has one direction, and a server reads an index forwards or backwards.
    new Set(parts.map(({ direction }) => direction)).size === 1 &&
    // Hashes have no order. In a prefix index, two values may have the same position.
    parts.every(
      ({ type, prefix, hidden, visible }) =>
        type === 'BTREE' && prefix === null && hidden !== 'YES' && visible !== 'NO',
    )
  );
}
