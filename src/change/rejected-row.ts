/** A row that cannot be written to the target exactly, with the reason. It is kept complete, as a dead letter. */
export interface RejectedRow {
  /** The key as in the batch: the COPY text of the key's columns joined by tabs, each byte as a latin1 character. */
  readonly key: string;
  /** A description for the operator, never a value. */
  readonly reason: string;
  /** The column at fault; null: not known, or the entire row. */
  readonly column: string | null;
  /** The SQLSTATE that PostgreSQL raised; null: the row never reached PostgreSQL. */
  readonly sqlState: string | null;
  readonly row: Buffer;
  /**
   * The format of `row`: a line of COPY text. Where none could be made: the row image of the binlog or the packet of a select.
   */
  readonly format: RejectedFormat;
}

export type RejectedFormat = 'copy' | 'image' | 'packet';

/**
 * The most bytes of a row, as a COPY line or as stored in a dead letter. The hexadecimal text of a larger row would exceed the
 * longest string of JavaScript (`buffer.constants.MAX_STRING_LENGTH`, half a gigabyte). It cannot even become a dead letter, so
 * its table is suspended.
 */
export const mostRowBytes = 200_000_000;
export const rowTooLarge = `a row has more than ${mostRowBytes / 1_000_000} MB as text: omit its largest column with COLUMN_RULES`;
