import type { SourceServer } from '../../../testing/servers/server.ts';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { quoteName } from '../../../testing/compare/source-columns.ts';
import { atLeast } from '../../mapping/types/type-case.ts';

/** Names that break a careless writer of SQL. */
const names = [
  'order',
  'Group',
  "it's",
  'two words',
  'qu"ote',
  'zähne',
  '歯',
  'UPPER',
  'dollar$',
  '_under',
  'percent%',
];

const charsets = [
  'utf8mb4',
  'utf8mb4',
  'utf8mb4 collate utf8mb4_bin',
  'utf8mb4 collate utf8mb4_general_ci',
  'utf8',
  'latin1',
  'ascii',
  'ucs2',
  'utf16',
  'utf32',
  'cp1251',
  'gbk',
  'sjis',
  'koi8r',
];
const members = `'a','','two words','it''s','q"uote','back\\\\slash','é'`;

type Server = Pick<SourceServer, 'flavor' | 'version'>;

/** Types that can be a key, without those whose values PostgreSQL might have to convert. */
function keyType(random: SeededRandom): string {
  return random.pick([
    'int',
    'bigint',
    'bigint unsigned',
    'smallint',
    'mediumint unsigned',
    `varchar(${random.int(8, 40)}) character set ${random.pick(charsets)}`,
    `varchar(${random.int(8, 40)}) character set utf8mb4`,
    `char(12) character set latin1`,
    'varbinary(24)',
    'binary(8)',
    'decimal(20,4)',
    'date',
    'datetime(3)',
    `enum('a','b','two words','é') character set utf8mb4`,
    'time(2)',
  ]);
}

function columnType(server: Server, random: SeededRandom): string {
  const fraction = random.int(0, 6);
  const sign = random.pick(['', ' unsigned']);
  const text = () =>
    `${random.pick(['char(20)', 'varchar(60)', 'varchar(200)', 'tinytext', 'text', 'mediumtext', 'longtext'])} character set ${random.pick(charsets)}`;
  const scale = random.int(0, 30);
  const own =
    server.flavor === 'mysql'
      ? atLeast(server.version, '5.7')
        ? ['json']
        : []
      : [
          'json',
          'inet6',
          ...(atLeast(server.version, '10.7') ? ['uuid'] : []),
          ...(atLeast(server.version, '10.10') ? ['inet4'] : []),
          'varchar(80) compressed character set utf8mb4',
          'blob compressed',
        ];
  return random.pick([
    `tinyint${sign}`,
    'tinyint(1)',
    `smallint${sign}`,
    `mediumint${sign}`,
    `int${sign}`,
    `int(8) unsigned zerofill`,
    `bigint${sign}`,
    `bigint${sign}`,
    `decimal(${random.int(Math.max(1, scale), 65)},${scale})`,
    'decimal(10,2)',
    'float',
    'double',
    'year',
    'bit(1)',
    `bit(${random.int(2, 64)})`,
    text(),
    text(),
    text(),
    text(),
    `enum(${members}) character set utf8mb4`,
    `set('a','b','two words','it''s','q"uote','back\\\\slash','é') character set utf8mb4`,
    'binary(16)',
    'varbinary(100)',
    'blob',
    'longblob',
    'date',
    'date',
    `datetime(${fraction})`,
    `timestamp(${fraction})`,
    `time(${fraction})`,
    'geometry',
    'point',
    ...own,
  ]);
}

/** The definition of an unusual random table with the name `name`. */
export function randomTable(server: Server, name: string, random: SeededRandom): string {
  const used = new Set<string>();
  const column = (fallback: string) => {
    const picked = random.chance(0.3) ? random.pick(names) : fallback;
    if (used.has(picked.toLowerCase())) return fallback;
    used.add(picked.toLowerCase());
    return picked;
  };
  const counted = random.chance(0.4);
  const keys = counted
    ? [{ name: 'id', type: random.pick(['int', 'bigint', 'int unsigned']) }]
    : Array.from({ length: random.int(1, 3) }, (_, index) => ({ name: column(`k${index}`), type: keyType(random) }));
  const others = Array.from({ length: random.chance(0.1) ? 60 : random.int(1, 14) }, (_, index) => ({
    name: column(`c${index}`),
    type: columnType(server, random),
  }));
  // MySQL's spatial columns and some old ones cannot have a default; nullable columns need none.
  const definitions = [
    ...keys.map((key) => `${quoteName(key.name)} ${key.type} not null`),
    ...others.map(({ name: other, type }) => `${quoteName(other)} ${type} ${random.chance(0.8) ? 'null' : 'not null'}`),
  ];
  // Key columns need not come first.
  const shuffled = random.chance(0.5) ? definitions : definitions.toReversed();
  return `create table ${quoteName(name)} (${shuffled.join(', ')}, primary key (${keys.map((key) => quoteName(key.name)).join(', ')}))
    engine=${random.pick(['InnoDB', 'InnoDB', 'MyISAM'])} default character set utf8mb4${random.chance(0.1) ? ' row_format=dynamic' : ''}`;
}

export function randomTableName(index: number, random: SeededRandom): string {
  return random.chance(0.3) ? `${random.pick(names)} ${index}` : `table_${index}`;
}
