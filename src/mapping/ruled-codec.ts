import { isUtf8 } from 'node:buffer';
import type { ColumnRule } from '../definition/column-rule.ts';
import { fromCopyText } from '../change/copy-text.ts';
import type { LineBuffer } from '../change/line-buffer.ts';
import { mostRowBytes } from '../change/rejected-row.ts';
import type { ColumnSchema } from '../definition/table-schema.ts';
import type { Codec, Conversions } from './codec.ts';
import { InvalidValue } from './invalid-value.ts';
import { withoutNul } from './json-text.ts';
import { dates, datetimes, timestamps } from './temporal.ts';
import { readSeconds, writeSeconds } from './temporal-text.ts';
import { ZoneOffsets } from './zone-offsets.ts';

const integers = ['tinyint', 'smallint', 'mediumint', 'int', 'bigint'] as const;

/**
 * The column types that a rule fits, in general and in a key. In a key each value must stay distinct, and its text must bound a
 * chunk, which the text of an impossible date does not. `omit` fits every type, but no key.
 */
const fits: Readonly<
  Record<Exclude<ColumnRule['kind'], 'omit'>, { types: readonly string[]; keys: readonly string[] }>
> = {
  boolean: { types: ['tinyint'], keys: [] },
  text: {
    types: [...integers, 'decimal', 'year', 'time', 'date', 'datetime', 'timestamp'],
    keys: [...integers, 'decimal', 'year', 'time', 'timestamp'],
  },
  jsonb: { types: ['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext'], keys: [] },
  local: { types: ['timestamp'], keys: [] },
  null: { types: ['date', 'datetime', 'timestamp'], keys: [] },
};

/** Why the rule of a column does not fit it, and which rules do; null: it fits. */
export function misfit({ type, rule }: ColumnSchema, isKey: boolean): string | null {
  if (rule === undefined) return null;
  const fitting = (Object.keys(fits) as (keyof typeof fits)[]).filter((kind) =>
    fits[kind][isKey ? 'keys' : 'types'].includes(type),
  );
  const all: readonly string[] = isKey ? fitting : [...fitting, 'omit'];
  if (all.includes(rule.kind)) return null;
  const others = all.length === 0 ? 'no rule fits' : `rules that fit: ${all.join(', ')}`;
  return `rule ${rule.kind} does not fit a ${isKey ? 'key ' : ''}column of type ${type}; ${others}`;
}

/** The codec of a column with its rule, which must fit; `codec` is the codec of its type. */
export function ruledCodec(column: ColumnSchema, codec: Codec, conversions: Conversions): Codec {
  const { rule, fraction } = column;
  switch (rule?.kind) {
    case 'boolean':
      return rewritten(codec, 'boolean', writeTruth);
    case 'text':
      return rewritten(verbatim(column) ?? codec, 'text', zeroFilled(printedWidth(column)));
    case 'jsonb':
      return rewritten(codec, 'jsonb', jsonDocument(conversions));
    case 'local':
      return rewritten(codec, `timestamp(${fraction})`, clockIn(rule.zone));
    case 'null':
      return rewritten(codec, codec.pgType, sentinelToNull(column, rule.date, conversions));
    default:
      return codec;
  }
}

/** Changes the value that was just written: the bytes in `out` from `start` on. */
type Rewrite = (out: LineBuffer, start: number) => void;

/** Rules act on the text that snapshot and stream both write, so both give the same result. */
function rewritten(codec: Codec, pgType: string, rewrite: Rewrite): Codec {
  const { sortsAlike, ...rest } = codec;
  return {
    ...rest,
    // Numbers and times sort differently as text.
    ...(sortsAlike === undefined || pgType === 'text' ? {} : { sortsAlike }),
    pgType,
    fromText: (source, start, end, out) => {
      const from = out.length;
      codec.fromText(source, start, end, out);
      rewrite(out, from);
    },
    fromImage: (type, metadata) => {
      const reader = codec.fromImage(type, metadata);
      if (reader === null) return null;
      return {
        skip: reader.skip,
        read: (source, at, out) => {
          const from = out.length;
          const next = reader.read(source, at, out);
          rewrite(out, from);
          return next;
        },
      };
    },
  };
}

const zero = 0x30;
const one = 0x31;

const writeTruth: Rewrite = (out, start) => {
  const { bytes, length } = out;
  const digit = bytes[length - 1];
  // A column with ZEROFILL has leading zeros.
  for (let i = start; i < length - 1; i++) if (bytes[i] !== zero) throw noTruth();
  if (digit !== zero && digit !== one) throw noTruth();
  out.length = start;
  out.byte(digit === one ? 0x74 : 0x66);
};

function noTruth(): InvalidValue {
  return new InvalidValue('a number other than 0 and 1 is not a boolean');
}

/**
 * A codec that keeps everything the server prints, for a type whose default codec loses some of it; undefined: any other type.
 */
function verbatim(column: ColumnSchema): Codec | undefined {
  return dates(column, null) ?? datetimes(column, null) ?? timestamps(column, null);
}

/** The width to which the server pads with zeros; 0: it does not pad. */
function printedWidth({ type, fullType, precision, scale }: ColumnSchema): number {
  const [, width] = /\((\d+)/.exec(fullType) ?? [];
  if (type === 'year') return Number(width ?? 4);
  if (!/ zerofill\b/i.test(fullType)) return 0;
  if (type !== 'decimal') return Number(width ?? 0);
  const decimals = scale ?? 0;
  return (precision ?? 10) + (decimals > 0 ? 1 : 0) + (precision === decimals ? 1 : 0);
}

function zeroFilled(width: number): Rewrite {
  return (out, start) => {
    const lacking = width - (out.length - start);
    if (lacking <= 0) return;
    out.reserve(lacking);
    out.bytes.copyWithin(start + lacking, start, out.length);
    out.bytes.fill(zero, start, start + lacking);
    out.length += lacking;
  };
}

/** Refuses text that is not JSON. PostgreSQL makes the final decision: it also refuses, for example, a lone surrogate. */
function jsonDocument(conversions: Conversions): Rewrite {
  return (out, start) => {
    const written = out.bytes.subarray(start, out.length);
    // A later check rejects such a row, with all rows that are not UTF-8 or too large.
    if (!isUtf8(written) || written.length > mostRowBytes) return;
    const text = fromCopyText(written.toString('utf8')) ?? '';
    try {
      JSON.parse(text);
    } catch {
      throw new InvalidValue('a text is not a JSON document');
    }
    const held = withoutNul(text, conversions);
    if (held === text) return;
    out.length = start;
    const utf8 = Buffer.from(held, 'utf8');
    out.text(utf8, 0, utf8.length);
  };
}

const zones = new Map<string, ZoneOffsets>();

function offsetsOf(zone: string): ZoneOffsets {
  let offsets = zones.get(zone);
  if (offsets === undefined) zones.set(zone, (offsets = new ZoneOffsets(zone)));
  return offsets;
}

function clockIn(zone: string): Rewrite {
  const offsets = offsetsOf(zone);
  return (out, start) => {
    if (isNull(out, start)) return;
    const end = out.length;
    const seconds = readSeconds(out.bytes, start);
    out.length = start;
    writeSeconds(seconds + offsets.at(seconds), out);
    // The fraction is unchanged and stays where it was.
    out.length = end;
  };
}

function sentinelToNull({ type, fraction }: ColumnSchema, date: string, conversions: Conversions): Rewrite {
  const clock = type === 'date' ? '' : ` 00:00:00${fraction === 0 ? '' : `.${'0'.repeat(fraction)}`}`;
  const sentinel = Buffer.from(`${date}${clock}`, 'latin1');
  return (out, start) => {
    if (sentinel.compare(out.bytes, start, out.length) !== 0) return;
    conversions.sentinelToNull++;
    out.length = start;
    out.null();
  };
}

/** Whether the value is NULL: an invalid date became NULL already. */
function isNull(out: LineBuffer, start: number): boolean {
  return out.bytes[start] === 0x5c;
}
