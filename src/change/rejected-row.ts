import { roomFor } from '../lifetime/memory.ts';

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
  /** Empty: the row is too large to be kept. */
  readonly row: Buffer;
  /**
   * The format of `row`: a line of COPY text. Where none could be made: the row image of the binlog or the packet of a select.
   */
  readonly format: RejectedFormat;
}

export type RejectedFormat = 'copy' | 'image' | 'packet';

/**
 * The most bytes of a row, as it comes from the source and as a COPY line. On its way a row is held up to ten times: as packets, as an event,
 * as a line with room to grow, and as a message to PostgreSQL. Above 200 MB, the hexadecimal text of a row would exceed the longest string
 * of JavaScript (`buffer.constants.MAX_STRING_LENGTH`, half a gigabyte).
 */
export const mostRowBytes = roomFor(1 / 10, 200_000_000);

/** The reason for a row of so many bytes. Such a row becomes a dead letter without its image. */
export function tooLarge(bytes: number): string {
  return `the row has ${inMegabytes(bytes)}, and the memory allows ${inMegabytes(mostRowBytes)}`;
}

function inMegabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1_000_000)} MB`;
}
