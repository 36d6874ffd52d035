/**
 * A place in the source's binlog, always the end of a whole transaction. `offset` counts bytes in `file` and may pass
 * 4 GiB. An empty `file` comes before all others: the place is known by GTID only, until this server has told it. `gtid` is the server's own notation of everything up to here: a MySQL GTID set or a MariaDB GTID position; null
 * where the server has none.
 */
export interface Position {
  readonly file: string;
  readonly offset: number;
  readonly gtid: string | null;
  /** When the file was begun, in seconds since 1970 by the source's clock; absent: not known. A file of that name that was begun at another time is another one. */
  readonly fileBegan?: number;
}

/**
 * Orders two places of the same server by file and offset: negative when `a` is earlier. Binlog names are a base and a
 * counter of at least six digits that grows into more, so `binlog.1000000` follows `binlog.999999`: the counter decides, as
 * a number.
 */
export function comparePositions(a: Position, b: Position): number {
  return fileNumber(a.file) - fileNumber(b.file) || a.offset - b.offset;
}

/** Whether the server would have begun this file before the other. */
export function isEarlierFile(file: string, than: string): boolean {
  return fileNumber(file) < fileNumber(than);
}

function fileNumber(file: string): number {
  return Number(file.slice(file.lastIndexOf('.') + 1));
}

/** For logs and errors. */
export function formatPosition(position: Position): string {
  return position.file === '' ? 'known by GTID only' : `${position.file}:${position.offset}`;
}
