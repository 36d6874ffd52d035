import fc from 'fast-check';
import { type CaseServer, type TypeCase, bytesLiteral, mariadb, mysql, textLiteral } from '../type-case.ts';

const generates = (server: CaseServer) => mariadb()(server) || mysql('5.7')(server);
const hides = (server: CaseServer) => mariadb('10.3')(server) || mysql('8.0')(server);

/** MariaDB 11.8 omits these from its row images, even from full ones, so their values are unknown. */
const imageLacksGenerated = (server: CaseServer) =>
  mariadb('11.8')(server) ? 'leaves it out of the images of updated rows' : undefined;

const generated: readonly TypeCase[] = ['virtual', 'stored'].flatMap((kind) => {
  const of = (name: string, column: string, base: string, values: TypeCase['values']): TypeCase => ({
    name: `${kind}_${name}`,
    type: `generated column (${kind})`,
    column: `${column} ${kind}`,
    more: `base ${base}`,
    written: 'base',
    values,
    on: generates,
    notCarried: imageLacksGenerated,
  });
  return [
    of('int', 'int generated always as (base * 2 + 1)', 'int', ['0', '-5', '1000000', 'null']),
    of('text', `varchar(60) generated always as (concat(base, ' \\\\ €'))`, 'varchar(40)', [
      `''`,
      `'a'`,
      textLiteral('ü🦷'),
      'null',
    ]),
    of('date', 'date generated always as (cast(base as date))', 'datetime', [`'2024-02-29 10:00:00'`, `'0001-01-01'`]),
    of('decimal', 'decimal(20,4) generated always as (base * 3)', 'decimal(10,2)', ['1', '-99999999.99', '0']),
  ];
});

const invisible: readonly TypeCase[] = [
  { name: 'invisible_int', type: 'invisible column', column: 'int invisible', values: ['0', '-7', 'null'], on: hides },
  {
    name: 'invisible_text',
    type: 'invisible column',
    column: `varchar(40) character set latin1 invisible`,
    values: [`''`, `'é'`, 'null'],
    on: hides,
  },
  {
    name: 'invisible_virtual',
    type: 'invisible column',
    column: 'int generated always as (base + 1) virtual invisible',
    more: 'base int',
    written: 'base',
    values: ['1', '2'],
    on: hides,
    notCarried: imageLacksGenerated,
  },
];

const compressible = ['', 'a', 'short', 'x'.repeat(99), 'x'.repeat(101), 'é🦷\\\t'.repeat(200), 'ab'.repeat(600)];
const compressed: readonly TypeCase[] = [
  ...['varchar(4000)', 'tinytext', 'text', 'mediumtext', 'longtext'].map((type) => ({
    name: `compressed_${type.replace(/\W+/g, '_')}`,
    type: 'compressed column (MariaDB)',
    column: type.startsWith('varchar') ? `${type} compressed character set utf8mb4` : `${type} compressed`,
    options: 'default character set utf8mb4',
    values: compressible.filter((text) => type !== 'tinytext' || Buffer.byteLength(text) < 250).map(textLiteral),
    random: fc.string({ maxLength: 200, unit: 'grapheme' }).map((text) => textLiteral(text.slice(0, 60))),
    on: mariadb('10.3'),
  })),
  {
    name: 'compressed_latin1',
    type: 'compressed column (MariaDB)',
    column: 'varchar(200) compressed character set latin1',
    values: [`''`, `repeat('é', 200)`, `'a'`],
    on: mariadb('10.3'),
  },
  ...['varbinary(3000)', 'blob', 'longblob'].map((type) => ({
    name: `compressed_${type.replace(/\W+/g, '_')}`,
    type: 'compressed column (MariaDB)',
    column: type.startsWith('varbinary') ? `${type} compressed` : `${type} compressed`,
    values: [...compressible.map((text) => bytesLiteral(Buffer.from(text))), `repeat(x'005c', 1000)`, `x'00'`],
    random: fc.uint8Array({ maxLength: 300 }).map(bytesLiteral),
    on: mariadb('10.3'),
  })),
];

const uuids = [
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  '123e4567-e89b-12d3-a456-426614174000',
  '123e4567-e89b-42d3-a456-426614174000',
  '018f4e3a-7d2b-7c3d-9e4f-5a6b7c8d9e00',
  '018f4e3a-7d2b-6c3d-9e4f-5a6b7c8d0000',
  '00000000-0000-0000-0000-000000000001',
  '20000000-0000-4000-8000-000000000020',
];
const addresses: readonly TypeCase[] = [
  {
    name: 'uuid_column',
    type: 'uuid (MariaDB)',
    column: 'uuid',
    values: uuids.map((value) => [`'${value}'`, value] as const),
    random: fc.uuid().map((value) => `'${value}'`),
    on: mariadb('10.7'),
  },
  {
    name: 'inet4_column',
    type: 'inet4 (MariaDB)',
    column: 'inet4',
    values: ['0.0.0.0', '255.255.255.255', '127.0.0.1', '10.1.2.0', '32.32.32.32'].map(
      (value) => [`'${value}'`, `${value}/32`] as const,
    ),
    random: fc.ipV4().map((value) => `'${value}'`),
    on: mariadb('10.10'),
  },
  {
    name: 'inet6_column',
    byTarget: 's.v::inet',
    type: 'inet6 (MariaDB)',
    column: 'inet6',
    values: [
      '::',
      '::1',
      'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
      '2001:db8::ff00:42:8329',
      '::ffff:10.1.2.3',
      '::10.1.2.3',
      'fe80::',
      '1:2:3:4:5:6:7:8',
      '1:0:0:4:0:0:7:8',
      '2001:db8:0:1:1:1:1:1',
      '2020::2020',
    ].map((value) => `'${value}'`),
    random: fc.ipV6().map((value) => `'${value}'`),
    on: mariadb('10.5'),
  },
];

/** Hidden columns of the server, which a TABLE_MAP may or may not contain. */
const hidden: readonly TypeCase[] = [
  {
    name: 'hidden_functional_index',
    type: 'beside an index on an expression',
    column: 'varchar(40)',
    more: 'key half ((lower(v)))',
    values: [`'A'`, `''`, 'null'],
    on: mysql('8.0'),
  },
  {
    name: 'hidden_unique_hash',
    type: 'beside a unique index kept by hashes',
    column: 'blob',
    more: 'unique key whole (v, id)',
    values: [`'A'`, `''`, 'null'],
    notCarried: () => 'its unique index whole is kept by hashes',
    on: mariadb('10.5'),
  },
  {
    name: 'hidden_number_hash',
    type: 'beside a unique index kept by hashes',
    column: 'int',
    more: 'unique key whole (v, id) using hash',
    values: ['1', '2', 'null'],
    notCarried: () => 'its unique index whole is kept by hashes',
    on: mariadb('10.5'),
  },
  {
    name: 'versioned',
    type: 'in a system-versioned table',
    column: 'int',
    options: 'with system versioning',
    values: ['1', '2', 'null'],
    notCarried: () => 'it is system-versioned',
    on: mariadb('10.3'),
  },
];

export const specialCases: readonly TypeCase[] = [...generated, ...invisible, ...compressed, ...addresses, ...hidden];
