import { jsonCanonical } from './json-canonical.ts';

/**
 * A column of the source as the server's catalog describes it; `target` is its type at the target, null if the column is missing
 * there.
 */
export interface ComparedColumn {
  readonly name: string;
  /** information_schema's data_type, lower case. */
  readonly type: string;
  /** The number of bits of a bit column; otherwise the value in the catalog. */
  readonly precision: number | null;
  /** PostgreSQL's name of the type (`udt_name`), for example `int2`, `_text`. */
  readonly target: string | null;
}

/** The canonical text of a value, which must be equal at both ends; null is NULL. */
export type Canonical = (value: Buffer) => string | null;

const integers = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'year']);
const characters = ['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', 'enum'];
/** MariaDB and PostgreSQL print each uuid and inet4 value as the same, single text. */
const textual = new Set([...characters, 'uuid', 'inet4']);

/**
 * The canonical text of a value that the source printed, after the documented mapping. It is written from the documentation of
 * types alone and shares no code with the mapping that it checks.
 */
export function sourceCanonical(column: ComparedColumn): Canonical {
  const { type } = column;
  // Only MySQL's catalog reports json; MariaDB's json is text, and its catalog reports longtext.
  if (type === 'json') return (value) => jsonCanonical(value.toString('utf8'));
  if (integers.has(type)) return (value) => BigInt(value.toString('latin1')).toString();
  if (type === 'decimal') return (value) => decimalCanonical(value.toString('latin1'));
  if (type === 'float') return (value) => floatCanonical(Math.fround(Number(value.toString('latin1'))));
  if (type === 'double') return (value) => floatCanonical(Number(value.toString('latin1')));
  if (textual.has(type)) {
    return (value) => value.toString('utf8').replaceAll('\0', '\uFFFD');
  }
  if (type === 'inet6') return (value) => addressCanonical(value.toString('latin1'));
  if (type === 'set') {
    return (value) =>
      JSON.stringify(value.length === 0 ? [] : value.toString('utf8').replaceAll('\0', '\uFFFD').split(','));
  }
  if (type === 'date' || type === 'datetime') return (value) => dateCanonical(value.toString('latin1'));
  if (type === 'timestamp') return (value) => instantCanonical(value.toString('latin1'));
  if (type === 'time') return (value) => clockCanonical(value.toString('latin1'));
  if (type === 'bit') {
    const width = column.precision ?? 1;
    if (width === 1) return (value) => (value.at(-1) === 1 ? 't' : 'f');
    return (value) =>
      BigInt(`0x0${value.toString('hex')}`)
        .toString(2)
        .padStart(width, '0');
  }
  // binary, blobs, spatial, vector: bytes
  return (value) => value.toString('hex');
}

/** The canonical text of a target value that was cast to text in the session of `target-rows.ts`. */
export function targetCanonical(column: ComparedColumn): (value: string) => string | null {
  switch (column.target) {
    case 'json':
    case 'jsonb':
      return jsonCanonical;
    case 'int2':
    case 'int4':
    case 'int8':
      return (value) => value;
    case 'numeric':
      return decimalCanonical;
    case 'float4':
      return (value) => floatCanonical(Math.fround(Number(value)));
    case 'float8':
      return (value) => floatCanonical(Number(value));
    case '_text':
      return (value) => JSON.stringify(JSON.parse(value));
    case 'timestamptz':
      return (value) => instantCanonical(value.replace(/\+00$/, ''));
    case 'timestamp':
      return dateCanonical;
    case 'interval':
      return clockCanonical;
    case 'inet':
      return addressCanonical;
    case 'bool':
      return (value) => (value === 'true' ? 't' : 'f');
    case 'bytea':
      return (value) => value.slice(2);
    default:
      return (value) => value;
  }
}

/** The servers abbreviate a single group of zeros differently. The URL parser gives one shortest form for each address. */
function addressCanonical(text: string): string {
  return text.includes(':') ? new URL(`http://[${text}]`).hostname : text;
}

/** `-000.50` and `-0.5` are the same value; numeric has no negative zero. */
function decimalCanonical(text: string): string {
  const match = /^(-?)0*(\d*?)(?:\.(\d*?)0*)?$/.exec(text);
  if (match === null) return `not a decimal: ${text}`;
  const [, sign, integer, fraction] = match;
  const digits = `${integer === '' ? '0' : integer}${fraction ? `.${fraction}` : ''}`;
  return digits === '0' ? '0' : `${sign}${digits}`;
}

function floatCanonical(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** A date that is not in the calendar is NULL at the target. Fractions lose their trailing zeros, as PostgreSQL prints them. */
function dateCanonical(text: string): string | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)(?: (\d\d:\d\d:\d\d)(?:\.(\d+))?)?$/.exec(text);
  if (match === null) return text;
  const [, year, month, day, clock, fraction] = match;
  const y = Number(year);
  const leap = month === '02' && new Date(Date.UTC(y + 4000, 2, 0)).getUTCDate() === 29;
  const last = (monthDays[Number(month) - 1] ?? 0) + (leap ? 1 : 0);
  if (y === 0 || day === '00' || Number(day) > last) return null;
  const stripped = fraction?.replace(/0+$/, '');
  return `${year}-${month}-${day}${clock === undefined ? '' : ` ${clock}`}${stripped ? `.${stripped}` : ''}`;
}

/** The suffix Z distinguishes an instant from a local time; the two are not comparable. */
function instantCanonical(text: string): string | null {
  const date = dateCanonical(text);
  return date === null ? null : `${date}Z`;
}

/** Microseconds. A time of day never maps to days or months, so an interval with these stays visible as a difference. */
function clockCanonical(text: string): string {
  const match = /^(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(text);
  if (match === null) return text;
  const [, sign, hours, minutes, seconds, fraction = ''] = match;
  const total = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1e6 + Number(fraction.padEnd(6, '0'));
  return String(sign === '-' ? 0 - total : total);
}
