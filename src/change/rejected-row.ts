/** A row that cannot be at the target as it is at the source, with the reason. It is kept whole, as a dead letter. */
export interface RejectedRow {
  /** As the batch holds keys: the COPY text of the key's columns joined by tabs, its bytes seen as latin1. */
  readonly key: string;
  /** In words for the operator, never a value. */
  readonly reason: string;
  /** The column at fault; null: not known, or the row as a whole. */
  readonly column: string | null;
  /** What PostgreSQL raised; null: it never got there. */
  readonly sqlState: string | null;
  readonly row: Buffer;
  /** What `row` is: a line of COPY text, or, where none could be made, the row image of the binlog or the packet of a select. */
  readonly format: RejectedFormat;
}

export type RejectedFormat = 'copy' | 'image' | 'packet';

/**
 * Bytes of a row as a COPY line, or as it would be set aside. A larger one cannot even become a dead letter, which in hexadecimal would be
 * more than a string of JavaScript holds (`buffer.constants.MAX_STRING_LENGTH`, half a gigabyte): its table is suspended.
 */
export const mostRowBytes = 200_000_000;
export const rowTooLarge = `a row has more than ${mostRowBytes / 1_000_000} MB as text: leave out the column that makes it so with COLUMN_RULES`;
