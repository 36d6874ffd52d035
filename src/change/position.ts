/**
 * A position in the source's binlog, always at the end of a complete transaction. `offset` counts bytes in `file` and may exceed
 * 4 GiB. An empty `file` orders before all others: the position is known by GTID only, until this server reports its file. `gtid`
 * is the server's own notation of everything up to here: a MySQL GTID set or a MariaDB GTID position; null: the server has none.
 */
export interface Position {
  readonly file: string;
  readonly offset: number;
  readonly gtid: string | null;
  /**
   * When the server started the file, in seconds since 1970 by the source's clock; absent: not known. A file with the same name
   * and another start time is another file.
   */
  readonly fileBegan?: number;
}

/**
 * Orders two positions of the same server by file and offset: negative when `a` is earlier. Binlog names are a base and a counter
 * of at least six digits that grows into more. `binlog.1000000` follows `binlog.999999`, so the counter is compared as a number.
 */
export function comparePositions(a: Position, b: Position): number {
  return fileNumber(a.file) - fileNumber(b.file) || a.offset - b.offset;
}

/** Whether the server started this file before the other. */
export function isEarlierFile(file: string, than: string): boolean {
  return fileNumber(file) < fileNumber(than);
}

function fileNumber(file: string): number {
  return Number(file.slice(file.lastIndexOf('.') + 1));
}

/** Formats a position for logs and errors. */
export function formatPosition(position: Position): string {
  return position.file === '' ? 'known by GTID only' : `${position.file}:${position.offset}`;
}
