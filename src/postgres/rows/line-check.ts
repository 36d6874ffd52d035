import { isUtf8 } from 'node:buffer';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableSchema } from '../../definition/table-schema.ts';

const tab = 0x09;
const newline = 0x0a;

export interface CheckedLines {
  readonly lines: Buffer;
  readonly rejected: readonly RejectedRow[];
}

/**
 * Removes COPY lines that are not UTF-8. Sources keep any bytes that a client declared as text, and codecs cannot afford to check each
 * value. All lines are first checked together, which costs almost nothing.
 */
export function checkLines(lines: Buffer, schema: TableSchema): CheckedLines {
  if (isUtf8(lines)) return { lines, rejected: [] };
  const sound: Buffer[] = [];
  const rejected: RejectedRow[] = [];
  for (const line of eachLine(lines)) {
    if (isUtf8(line)) sound.push(line);
    else
      rejected.push(
        rejectedLine(line, schema, {
          reason: 'text has bytes that are not valid in its character set',
          column: schema.columns[fields(line).findIndex((field) => !isUtf8(field))]?.name ?? null,
          sqlState: null,
        }),
      );
  }
  return { lines: Buffer.concat(sound), rejected };
}

/** Creates a rejected row from a COPY line. */
export function rejectedLine(
  line: Buffer,
  schema: TableSchema,
  why: Pick<RejectedRow, 'reason' | 'column' | 'sqlState'>,
): RejectedRow {
  const key = lineKey(line, schema);
  // This is a copy, because the batch reuses its buffer.
  return { key, ...why, row: Buffer.from(line), format: 'copy' };
}

/** The key of a COPY line as in TableChanges: its bytes as latin1, columns joined by tabs. */
export function lineKey(line: Buffer, { primaryKey }: TableSchema): string {
  const values = fields(line);
  return primaryKey.map((index) => (values[index] as Buffer).toString('latin1')).join('\t');
}

/** The lines without those of rejected rows. */
export function without(lines: Buffer, rejected: readonly RejectedRow[], schema: TableSchema): Buffer {
  const gone = new Set(rejected.map(({ key }) => key));
  return Buffer.concat([...eachLine(lines)].filter((line) => !gone.has(lineKey(line, schema))));
}

/** The start offset of each line, then the end offset of the last line. */
export function lineStarts(lines: Buffer): number[] {
  const starts = [0];
  for (let at = lines.indexOf(newline); at >= 0; at = lines.indexOf(newline, at + 1)) starts.push(at + 1);
  return starts;
}

/** Raises RangeError if the last line has no end. */
export function* eachLine(lines: Buffer): Generator<Buffer> {
  for (let at = 0; at < lines.length;) {
    const end = lines.indexOf(newline, at) + 1;
    if (end === 0) throw new RangeError('a line has no end');
    yield lines.subarray(at, end);
    at = end;
  }
}

function fields(line: Buffer): Buffer[] {
  const found: Buffer[] = [];
  const end = line.length - 1;
  for (let at = 0; at <= end;) {
    const next = line.indexOf(tab, at);
    found.push(line.subarray(at, next < 0 ? end : next));
    at = next < 0 ? end + 1 : next + 1;
  }
  return found;
}
