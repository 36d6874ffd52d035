import type { ColumnRule } from './column-rule.ts';

/**
 * A table's columns as valid from some position on. They define the meaning of a row image or a row packet of that table. The
 * control schema stores them as JSON, so this holds plain values only.
 */
export interface TableSchema {
  /** Name as the source's catalog spells it. */
  readonly table: string;
  readonly columns: readonly ColumnSchema[];
  /** Indexes into `columns`, in key order. Empty: the table has no key. */
  readonly primaryKey: readonly number[];
  /** The unique index of not-null columns that serves as the key of a table without a primary key; absent: PRIMARY. */
  readonly keyIndex?: string;
  /** Other tables whose changes also change this one without a record in the binlog; absent: none. */
  readonly cascades?: readonly Cascade[];
}

/**
 * A foreign key that deletes or changes rows here when a row of `parent` is deleted or its `columns` change. InnoDB does that
 * below the binlog: only MySQL since 9.6 logs those rows
 * (https://dev.mysql.com/doc/refman/8.4/en/innodb-and-mysql-replication.html).
 *
 * Or a MERGE table, `parent`, that contains the rows of this one. The binlog records changes through it as changes of `parent`.
 */
export interface Cascade {
  /** The foreign key's name; null: a MERGE table, where every change of `parent` is a change here. */
  readonly constraint: string | null;
  /** null: the table's own database. */
  readonly parentDatabase: string | null;
  readonly parent: string;
  readonly columns: readonly string[];
  readonly onDelete: boolean;
  readonly onUpdate: boolean;
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
  /** The operator's rule for the column; absent: the default mapping of its type. */
  readonly rule?: ColumnRule;
  /**
   * Why its value depends on the session that computes it; absent: it does not. Only a virtual column can have it. Such a column is
   * omitted, whatever its rule is.
   */
  readonly perSession?: string;
}

export function isUnsigned(column: ColumnSchema): boolean {
  // MySQL and MariaDB also print `unsigned` for ZEROFILL columns.
  return / unsigned\b/i.test(column.fullType);
}
