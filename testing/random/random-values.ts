import type { SeededRandom } from './seeded-random.ts';
import type { SourceColumn } from '../compare/source-columns.ts';

/**
 * A legal, often unusual value for a column, as SQL text: boundaries of the type, zero and part-zero dates, negative times, bytes
 * that COPY must escape, NULL where it is allowed. It needs a session with `sql_mode = 'NO_AUTO_VALUE_ON_ZERO'`, in UTC.
 */
export function randomValue(column: SourceColumn, random: SeededRandom): string {
  if (column.nullable && random.chance(0.15)) return 'null';
  switch (column.type) {
    case 'tinyint':
      return integer(column, 8, random);
    case 'smallint':
      return integer(column, 16, random);
    case 'mediumint':
      return integer(column, 24, random);
    case 'int':
      return integer(column, 32, random);
    case 'bigint':
      return integer(column, 64, random);
    case 'decimal':
      return decimal(column, random);
    case 'float':
      return float(random);
    case 'double':
      return double(random);
    case 'year':
      return String(random.pick([0, 1901, 1999, 2000, 2155, random.int(1950, 2050)]));
    case 'bit':
      return `b'${random.bigint(column.precision || 1).toString(2)}'`;
    case 'char':
    case 'varchar':
    case 'tinytext':
    case 'text':
    case 'mediumtext':
    case 'longtext':
      return quoteText(text(column, random));
    case 'enum':
      return random.chance(0.05) ? '0' : quoteText(random.pick(members(column.fullType)));
    case 'set':
      return quoteText(
        members(column.fullType)
          .filter(() => random.chance(0.4))
          .join(','),
      );
    case 'binary':
    case 'varbinary':
    case 'tinyblob':
    case 'blob':
    case 'mediumblob':
    case 'longblob':
      return blob(column, random);
    case 'date':
      return `'${date(random)}'`;
    case 'datetime':
      return `'${date(random)} ${clock(random)}${fraction(column, random)}'`;
    case 'timestamp':
      return timestamp(column, random);
    case 'time':
      return time(column, random);
    case 'json':
      return quoteText(JSON.stringify(json(random, 2)));
    case 'uuid':
      return `'${uuid(random)}'`;
    case 'inet4':
      return `'${[0, 0, 0, 0].map(() => random.int(0, 255)).join('.')}'`;
    case 'inet6':
      return random.pick([
        `'::'`,
        `'::1'`,
        `'::ffff:10.1.2.3'`,
        `'2001:db8::${random.int(1, 0xffff).toString(16)}'`,
        `'fe80:1:2:3:4:5:6:${random.int(0, 0xffff).toString(16)}'`,
      ]);
    case 'point':
    case 'geometry':
    case 'linestring':
    case 'polygon':
    case 'multipoint':
    case 'multilinestring':
    case 'multipolygon':
    case 'geometrycollection':
    case 'geomcollection':
      return geometry(column.type, random);
    default:
      throw new TypeError(`no random values for type ${column.type} (column ${column.name})`);
  }
}

function integer(column: SourceColumn, bits: number, random: SeededRandom): string {
  const unsigned = /unsigned/iu.test(column.fullType);
  const low = unsigned ? 0n : -(1n << BigInt(bits - 1));
  const high = unsigned ? (1n << BigInt(bits)) - 1n : (1n << BigInt(bits - 1)) - 1n;
  if (random.chance(0.25)) return String(random.pick([low, high, 0n, 1n, high - 1n, low + 1n]));
  if (random.chance(0.5)) return String(random.int(0, bits === 8 ? 127 : 30_000));
  return String(low + random.bigint(bits));
}

function decimal(column: SourceColumn, random: SeededRandom): string {
  const { precision, scale } = column;
  const unsigned = /unsigned/iu.test(column.fullType);
  const sign = !unsigned && random.chance(0.4) ? '-' : '';
  const digits = (length: number): string => {
    let text = '';
    const nines = random.chance(0.1);
    while (text.length < length) text += nines ? '9' : String(random.int(0, 9));
    return text;
  };
  if (random.chance(0.1)) return '0';
  const integer = digits(random.int(0, precision - scale)) || '0';
  return sign + (scale === 0 ? integer : `${integer}.${digits(scale)}`);
}

function float(random: SeededRandom): string {
  if (random.chance(0.3)) {
    return random.pick([
      '0',
      '0.1',
      '-1.5',
      '3.40282e38',
      '-3.40282e38',
      '1.17549e-38',
      '16777217',
      '123456.789',
      '1e10',
    ]);
  }
  const word = Buffer.alloc(4);
  for (;;) {
    word.writeUInt32LE(random.int(0, 0xffff_ffff));
    const value = word.readFloatLE();
    if (Number.isFinite(value) && Math.abs(value) > 1.2e-38) return String(value);
  }
}

function double(random: SeededRandom): string {
  if (random.chance(0.3)) {
    return random.pick([
      '0',
      '0.1',
      '-0e0',
      '1e15',
      '1e16',
      '123456789.125',
      '1.7976931348623157e308',
      '2.2250738585072014e-308',
      '9007199254740993',
    ]);
  }
  if (random.chance(0.5)) return (random.int(-5_000_000, 5_000_000) / 100).toFixed(2);
  const word = Buffer.alloc(8);
  for (;;) {
    word.writeBigUInt64LE(random.bigint(64));
    const value = word.readDoubleLE();
    if (Number.isFinite(value) && Math.abs(value) > 2.3e-308) return String(value);
  }
}

/** Fragments that break a careless writer: COPY's escapes, quotes, line ends, trailing spaces, text that looks like NULL. */
const awkward = [
  '\\N',
  '\\.',
  '\\',
  '\t',
  '\n',
  '\r\n',
  '\0',
  "'",
  '"',
  'NULL',
  '{}',
  '  ',
  'x ',
  '\b\f\v',
  '\u001a',
  '%_',
];
const beyondAscii: Readonly<Record<string, readonly string[]>> = {
  utf8mb4: ['é', 'ß', 'ẞ', '中', '\u{1f9b7}', '\u{10ffff}', '\u2028', '\ufeff', 'ａ'],
  utf8mb3: ['é', 'ß', 'ẞ', '中', '\uffee', '\u2028', '\ufeff'],
  utf8: ['é', 'ß', 'ẞ', '中', '\uffee', '\u2028', '\ufeff'],
  ucs2: ['é', '中'],
  utf16: ['é', '中', '\u{1f9b7}'],
  utf32: ['é', '中', '\u{1f9b7}'],
  latin1: ['é', 'ß', '€', 'ÿ', '™'],
  latin2: ['ł', 'ő'],
  cp1251: ['Ж', 'я'],
  gbk: ['中'],
  sjis: ['日'],
};

function text(column: SourceColumn, random: SeededRandom): string {
  const pieces = [...awkward, 'a', 'Bc', 'word ', ' and', '0', 'Z', ...(beyondAscii[column.charset ?? ''] ?? [])];
  const long = random.chance(0.02) ? 3_000 : 24;
  const limit = Math.min(column.type === 'tinytext' ? 60 : column.length, long);
  const characters: string[] = [];
  const wanted = random.chance(0.15) ? 0 : random.int(1, Math.max(1, limit));
  while (characters.length < wanted) characters.push(...Array.from(random.pick(pieces)));
  return characters.slice(0, Math.min(wanted, limit)).join('');
}

function blob(column: SourceColumn, random: SeededRandom): string {
  const length = Math.min(column.length, random.chance(0.05) ? 2_000 : random.int(0, 24));
  const bytes = random.bytes(length);
  if (random.chance(0.2)) bytes.fill(0x5c);
  return length === 0 ? `''` : `x'${bytes.toString('hex')}'`;
}

function date(random: SeededRandom): string {
  if (random.chance(0.25)) {
    return random.pick([
      '0000-00-00',
      '0001-01-01',
      '9999-12-31',
      '2024-02-29',
      '2024-00-15',
      '2023-05-00',
      '1000-01-01',
    ]);
  }
  return `${random.int(1900, 2060)}-${two(random.int(1, 12))}-${two(random.int(1, 28))}`;
}

function clock(random: SeededRandom): string {
  if (random.chance(0.2)) return random.pick(['00:00:00', '23:59:59']);
  return `${two(random.int(0, 23))}:${two(random.int(0, 59))}:${two(random.int(0, 59))}`;
}

function fraction(column: SourceColumn, random: SeededRandom): string {
  if (column.fraction === 0 || random.chance(0.2)) return '';
  let digits = '';
  while (digits.length < column.fraction) digits += String(random.int(0, 9));
  return `.${digits}`;
}

function timestamp(column: SourceColumn, random: SeededRandom): string {
  if (random.chance(0.2)) {
    return random.pick([
      `'0000-00-00 00:00:00'`,
      `'1970-01-01 00:00:01'`,
      `'2038-01-19 03:14:07'`,
      `'2024-02-29 23:59:59'`,
    ]);
  }
  return `'${random.int(1971, 2037)}-${two(random.int(1, 12))}-${two(random.int(1, 28))} ${clock(random)}${fraction(column, random)}'`;
}

function time(column: SourceColumn, random: SeededRandom): string {
  if (random.chance(0.25))
    return random.pick([`'-838:59:59'`, `'838:59:59'`, `'00:00:00'`, `'-00:00:01'`, `'24:00:00'`]);
  const sign = random.chance(0.4) ? '-' : '';
  const hours = random.chance(0.2) ? random.int(100, 837) : random.int(0, 23);
  return `'${sign}${two(hours)}:${two(random.int(0, 59))}:${two(random.int(0, 59))}${fraction(column, random)}'`;
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

function json(random: SeededRandom, depth: number): Json {
  const leaf = (): Json =>
    random.pick<Json>([
      '',
      'tab\there',
      'quote "x" \\ back',
      'ü中',
      0,
      -1,
      1.5,
      9_007_199_254_740_991,
      1e-7,
      true,
      false,
      null,
    ]);
  if (depth === 0) return leaf();
  if (random.chance(0.3)) return Array.from({ length: random.int(0, 4) }, () => json(random, depth - 1));
  return Object.fromEntries(
    Array.from({ length: random.int(0, 4) }, () => [
      random.pick(['a', 'b', 'Key', 'ü', 'x y']),
      json(random, depth - 1),
    ]),
  );
}

function uuid(random: SeededRandom): string {
  const hex = random.bytes(16).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function geometry(type: string, random: SeededRandom): string {
  const at = (): string => `${random.int(-1800, 1800) / 10} ${random.int(-900, 900) / 10}`;
  const ring = (): string => {
    const [x, y] = [random.int(0, 50), random.int(0, 50)];
    return `(${x} ${y},${x + 5} ${y},${x + 5} ${y + 5},${x} ${y + 5},${x} ${y})`;
  };
  const shapes: Readonly<Record<string, () => string>> = {
    point: () => `POINT(${at()})`,
    linestring: () => `LINESTRING(${at()},${at()},${at()})`,
    polygon: () => `POLYGON(${ring()})`,
    multipoint: () => `MULTIPOINT(${at()},${at()})`,
    multilinestring: () => `MULTILINESTRING((${at()},${at()}),(${at()},${at()}))`,
    multipolygon: () => `MULTIPOLYGON((${ring()}))`,
    geometrycollection: () => `GEOMETRYCOLLECTION(POINT(${at()}),LINESTRING(${at()},${at()}))`,
  };
  const named = type === 'geomcollection' ? 'geometrycollection' : type;
  const shape = shapes[named === 'geometry' ? random.pick(Object.keys(shapes)) : named];
  if (shape === undefined) throw new TypeError(`no shape for ${type}`);
  return `st_geomfromtext('${shape()}')`;
}

/**
 * The members of an enum or set, parsed from the type as the server prints it. Quotes are doubled; backslash, newline, carriage
 * return and U+0000 are escaped by a backslash.
 */
function members(fullType: string): string[] {
  const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', '0': '\0' };
  return [...fullType.matchAll(/'((?:[^']|'')*)'/gu)].map((match) =>
    (match[1] ?? '')
      .replaceAll("''", "'")
      .replaceAll(/\\(.)/gu, (_, character: string) => escapes[character] ?? character),
  );
}

/** A string literal for a session whose sql_mode lacks NO_BACKSLASH_ESCAPES. */
export function quoteText(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\0', '\\0')}'`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
