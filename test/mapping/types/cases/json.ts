import fc from 'fast-check';
import { type CaseValue, type TypeCase, mariadb, mysql, textLiteral } from '../type-case.ts';

const deep = (depth: number) => `${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`;
const long = 'x'.repeat(70_000);

const documents: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-1',
  '[]',
  '{}',
  '""',
  '9223372036854775807',
  '-9223372036854775808',
  '18446744073709551615',
  '9007199254740993',
  '[32767,32768,-32768,-32769,65535,65536,2147483647,2147483648,-2147483648,-2147483649,4294967295,4294967296]',
  '1.0',
  '-0.0',
  '1e100',
  '1.5e-7',
  '1e15',
  '1e14',
  '100000000000000000000',
  '[1e400]'.replace('400', '300'),
  '0.1',
  '123456789012345.6',
  '{"b":1,"a":2,"aa":3}',
  '{"a":1,"a":2}',
  String.raw`"\u00e9\ud83d\ude00 \" \\ \/ \b\f\n\r\t \u001f"`,
  String.raw`{"\u00e9\n":"\u2028"}`,
  String.raw`"back\\u0000slash"`,
  '"it\'s \\\\N"',
  deep(90),
  deep(100),
  `{"${'k'.repeat(300)}":"${'v'.repeat(300)}"}`,
  `["${long}",{"big":"${long}"}]`,
  JSON.stringify(Array.from({ length: 12_000 }, (_, index) => ({ index, odd: index % 2 === 1, half: index / 2 }))),
];

/** Values of SQL types that JSON does not have. */
const opaque: readonly CaseValue[] = [
  [`json_array(cast('2024-02-29' as date))`, '["2024-02-29"]'],
  `json_array(cast('2024-02-29 12:34:56.123456' as datetime(6)))`,
  `json_array(cast('-838:59:59' as time))`,
  `json_array(cast('-00:00:00.000001' as time(6)), cast('12:34:56.5' as time(1)))`,
  [`json_array(cast(12345678901234567890.123456789 as decimal(40,10)))`, '[12345678901234567890.1234567890]'],
  `json_array(cast(-0.5 as decimal(65,30)))`,
  `json_object('b', x'00ff', 'bit', b'101')`,
  `json_array(cast(repeat('xyz', 100) as binary))`,
  `json_array(1.5e0, 1e0, 1e15, 1e14, 123456789012345678e0, 0.1e0, -0e0, 1e-5, 5e-324, 1.7976931348623157e308)`,
  `json_array(st_geomfromtext('POINT(1 2)'))`,
  `json_array(cast('2024-02-29 12:34:56' as datetime), year(now()) * 0 + 1999)`,
];

const random = fc.jsonValue({ maxDepth: 4 }).map((value) => textLiteral(JSON.stringify(value)));

export const jsonCases: readonly TypeCase[] = [
  {
    name: 'json_column',
    type: 'json (MySQL)',
    column: 'json',
    values: [
      ...documents.map(textLiteral),
      [textLiteral(String.raw`"a\u0000b"`), '"a\ufffdb"'],
      textLiteral(String.raw`{"\u0000":"\\u0000"}`),
      ...opaque,
    ],
    random,
    on: mysql('5.7'),
  },
  {
    name: 'json_alias',
    type: 'json (MariaDB)',
    column: 'json',
    values: documents.map((document): CaseValue => [textLiteral(document), document]),
    random,
    on: mariadb(),
  },
  // The declaration of MariaDB's json, and text that happens to be JSON.
  ...['json', 'longtext character set utf8mb4', 'varchar(300) character set utf16'].map((column, index): TypeCase => ({
    name: `json_rule_${index}`,
    type: 'text as jsonb',
    column,
    values: documents
      .filter((document) => !column.startsWith('varchar') || document.length <= 300)
      .map((document) => textLiteral(document)),
    random: fc
      .jsonValue({ maxDepth: 3 })
      .map((value) => JSON.stringify(value))
      .filter(({ length }) => length <= 300)
      .map(textLiteral),
    rule: 'jsonb',
    byTarget: 's.v::jsonb',
    ...(column === 'json' ? { on: mariadb() } : {}),
  })),
];
