import type { CatalogTable } from '../source/catalog.ts';
import { type TableCodec, tableCodec } from '../mapping/table-codec.ts';
import { loadedAtColumn } from '../target/tables.ts';

export interface PlannedTable {
  readonly codec: TableCodec;
  readonly engine: string;
  readonly estimatedRows: number;
}

export interface LeftOutTable {
  readonly table: string;
  readonly reasons: readonly string[];
}

/** PostgreSQL cuts longer names off (NAMEDATALEN), which could make two of one. */
const maxNameBytes = 63;

/** Which tables of the catalog are carried, and why the others are not. `isSelected` is the operator's own choice. */
export function planTables(
  catalog: readonly CatalogTable[],
  isSelected: (table: string) => boolean,
): { planned: PlannedTable[]; leftOut: LeftOutTable[] } {
  const planned: PlannedTable[] = [];
  const leftOut: LeftOutTable[] = [];
  for (const { schema, engine, estimatedRows } of catalog) {
    if (!isSelected(schema.table)) continue;
    const reasons: string[] = [];
    if (schema.primaryKey.length === 0) reasons.push('it has no primary key, so its rows cannot be told apart');
    const names = [schema.table, ...schema.columns.map(({ name }) => name)];
    for (const name of names.filter((name) => Buffer.byteLength(name) > maxNameBytes))
      reasons.push(`the name ${name} is longer than PostgreSQL's ${maxNameBytes} bytes`);
    if (schema.columns.some(({ name }) => name === loadedAtColumn))
      reasons.push(`it has a column ${loadedAtColumn}, which Tidegate adds itself`);
    const codec = tableCodec(schema);
    if ('refused' in codec) reasons.push(...codec.refused);
    else {
      for (const index of schema.primaryKey)
        if (codec.codecs[index]?.keyLiteral === undefined)
          reasons.push(`key column ${schema.columns[index]?.name} cannot bound a chunk`);
      if (reasons.length === 0) planned.push({ codec, engine, estimatedRows });
    }
    if (reasons.length > 0) leftOut.push({ table: schema.table, reasons });
  }
  return { planned, leftOut };
}
