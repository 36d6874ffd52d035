import { jsonCanonical } from './json-canonical.ts';

/** A column of the source as the server's own catalog names it; `target` is the type at the other end, null if it is lacking. */
export interface ComparedColumn {
  readonly name: string;
  /** information_schema's data_type, lower case. */
  readonly type: string;
  /** Bits of a bit column, otherwise what the catalog says. */
  readonly precision: number | null;
  /** PostgreSQL's name of the type (`udt_name`), for instance `int2`, `_text`. */
  readonly target: string | null;
}

/** One text per value that both ends must agree on; null is NULL. */
export type Canonical = (value: Buffer) => string | null;

const whole = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'bigint', 'year']);
const characters = ['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext', 'enum'];
/** MariaDB's uuid and inet4 print one text for one value, PostgreSQL the same. */
const textual = new Set([...characters, 'uuid', 'inet4']);

/**
 * How the server's own text of a value reads after the documented mapping. Written from the documentation of types alone: it
 * shares nothing with the mapping it is to judge.
 */
export function sourceCanonical(column: ComparedColumn): Canonical {
  const { type } = column;
  // MySQL's; the catalog of MariaDB, whose json is text, says longtext
  if (type === 'json') return (value) => jsonCanonical(value.toString('utf8'));
  if (whole.has(type)) return (value) => BigInt(value.toString('latin1')).toString();
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

/** How a target value, cast to text in the session that `target-rows.ts` sets up, reads. */
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

/** The servers shorten a single group of zeros differently; the shortest form of URLs is one for each address. */
function addressCanonical(text: string): string {
  return text.includes(':') ? new URL(`http://[${text}]`).hostname : text;
}

/** `-000.50` and `-0.5` are one value; numeric has no negative zero. */
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

/** A date that no calendar has is NULL at the target; fractions without their trailing zeros, as PostgreSQL prints them. */
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

/** The mark tells an instant from the reading of a clock, which no zone makes comparable. */
function instantCanonical(text: string): string | null {
  const date = dateCanonical(text);
  return date === null ? null : `${date}Z`;
}

/** Microseconds. Days or months in an interval are not what a time of day becomes and stay visible as a difference. */
function clockCanonical(text: string): string {
  const match = /^(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(text);
  if (match === null) return text;
  const [, sign, hours, minutes, seconds, fraction = ''] = match;
  const total = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1e6 + Number(fraction.padEnd(6, '0'));
  return String(sign === '-' ? 0 - total : total);
}
