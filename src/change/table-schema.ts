/**
 * A table's columns as they are valid from some position on: what a row image or a row packet of that table means. Stored as
 * JSON in the control schema, so it holds plain values only.
 */
export interface TableSchema {
  /** Name as the source's catalog spells it. */
  readonly table: string;
  readonly columns: readonly ColumnSchema[];
  /** Indexes into `columns`, in key order. Empty: the table has no primary key. */
  readonly primaryKey: readonly number[];
}

export interface ColumnSchema {
  readonly name: string;
  /** `DATA_TYPE` of the catalog, lower case: 'bigint', 'varchar', 'enum' … */
  readonly type: string;
  /** `COLUMN_TYPE` of the catalog as written: 'bigint(20) unsigned', "enum('a','b')". */
  readonly fullType: string;
  readonly nullable: boolean;
  /** Character set of the stored bytes; null for anything that is not text. */
  readonly charset: string | null;
  /** Characters for char and varchar, bytes for binary and varbinary, null elsewhere. */
  readonly length: number | null;
  /** Digits of decimals, null elsewhere. */
  readonly precision: number | null;
  readonly scale: number | null;
  /** Fractional digits of time, datetime and timestamp; 0 elsewhere. */
  readonly fraction: number;
}

export function isUnsigned(column: ColumnSchema): boolean {
  // MySQL and MariaDB print ZEROFILL columns with `unsigned` spelled out as well.
  return / unsigned\b/i.test(column.fullType);
}
