import fc from 'fast-check';
import { type CaseServer, type CaseValue, type TypeCase, mariadb, mysql, textLiteral } from '../type-case.ts';

/** Values that break a careless writer: COPY's escapes, quotes, line ends, trailing spaces, text that looks like NULL. */
const awkward: readonly string[] = [
  '',
  ' ',
  'a  ',
  'NULL',
  '\\N',
  '\\.',
  '\\',
  '\\\\x',
  '\t\n\r\r\n',
  '\b\f\v\u001a\u007f',
  `it's "so"`,
  '{a,b}',
  '%_',
];
const beyondAscii: readonly string[] = ['é', 'ß€™', '\u00a0', '\ufeffa', '\u2028', '中文', 'Жя', '日本'];
const astral: readonly string[] = ['🦷', '\u{10ffff}', 'a🦷b', '\u{20000}'];

const withNul: readonly CaseValue[] = [
  [textLiteral('\0'), '\ufffd'],
  [textLiteral('a\0b\0'), 'a\ufffdb\ufffd'],
];

const plain = (values: readonly string[]): CaseValue[] => values.map((value) => [textLiteral(value), value]);
const random = fc.string({ maxLength: 24, unit: 'binary' }).map(textLiteral);
const randomBasic = fc
  .array(
    fc.integer({ min: 0, max: 0xffff }).filter((code) => code < 0xd800 || code > 0xdfff),
    { maxLength: 24 },
  )
  .map((codes) => textLiteral(String.fromCharCode(...codes)));

const unicodeTypes: readonly TypeCase[] = [
  'char(24)',
  'varchar(200)',
  'varchar(3000)',
  'tinytext',
  'text',
  'mediumtext',
  'longtext',
].map((type) => ({
  name: `${type.replace(/\W+/g, '_')}_utf8mb4`,
  type: type.replace(/\(\d+\)/, '(n)'),
  column: `${type} character set utf8mb4`,
  values: [
    // CHAR loses its trailing spaces at the source.
    ...plain(awkward).filter(([, text]) => !type.startsWith('char(') || text?.endsWith(' ') !== true),
    ...(type.startsWith('char(') ? [textLiteral('a  ')] : []),
    ...plain([...beyondAscii, ...astral]),
    ...withNul,
    ...(/^(text|mediumtext|longtext)$/.test(type) ? [`repeat('é\\\\', 20000)`] : []),
    ...(/^(mediumtext|longtext)$/.test(type) ? [`repeat('0123456789abcdef', 70000)`] : []),
    ...(type === 'longtext' ? [`repeat('é', 8 * 1024 * 1024)`] : []),
  ],
  random,
}));

const collations: readonly TypeCase[] = ['utf8mb4_bin', 'utf8mb4_unicode_ci', 'utf8mb4_general_ci'].map(
  (collation) => ({
    name: `varchar_${collation}`,
    type: `varchar(n) collate ${collation}`,
    column: `varchar(100) character set utf8mb4 collate ${collation}`,
    values: [...plain([...awkward, ...beyondAscii, ...astral, 'A', 'a', 'Ä']), ...withNul],
    random,
  }),
);

/**
 * Every character of the first plane in rows of 256, and some beyond it. The server replaces characters missing in a set by
 * question marks.
 */
const repertoire: readonly string[] = [
  ...Array.from({ length: 256 }, (_, row) =>
    Array.from({ length: 256 }, (_, low) => String.fromCharCode(row * 256 + low))
      .filter((character) => character !== '\0' && (character < '\ud800' || character > '\udfff'))
      .join(''),
  ).filter((text) => text !== ''),
  '🦷😀\u{10000}\u{10ffff}\u{20000}\u{2f800}\u{e000}',
];

const everyByte = Buffer.from(Array.from({ length: 255 }, (_, index) => index + 1)).toString('hex');

/** Bytes that are well formed in a set and are no character or an unusual one. */
const bytesOf: Readonly<Record<string, readonly string[]>> = {
  latin1: ['80818d8f909d', '5c09'],
  cp1250: ['8183889098'],
  cp1251: ['98'],
  greek: ['a1a2a4a5aaaed2ff'],
  sjis: ['815f', '5c', '8740', 'fc4b', '9f5c', 'b1'],
  cp932: ['815f', 'f941', 'fc4b', '8740'],
  gbk: ['815c', 'a140', 'fe50'],
  gb2312: ['a1a4', 'a2a1'],
  big5: ['a45c', 'c6a5', 'a15a', 'a3c0'],
  ujis: ['a1c0', '8eb1', '8fa2b7', 'f5a1'],
  eucjpms: ['a1c0', '8eb1', '8fa2c3', '8ff4fe', 'f5a1', '8ff5a1', 'ada1'],
  euckr: ['8141', 'c8a1'],
  ...Object.fromEntries(['dec8', 'geostd8', 'keybcs2', 'swe7', 'tis620'].map((charset) => [charset, [everyByte]])),
};

const servers: Readonly<Record<string, (server: CaseServer) => boolean>> = { gb18030: mysql('5.7') };

const legacy =
  'ascii latin1 latin2 latin5 latin7 greek hebrew cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 koi8r koi8u macce macroman hp8 armscii8 dec8 geostd8 keybcs2 swe7 tis620 gbk gb2312 gb18030 big5 sjis cp932 ujis eucjpms euckr'.split(
    ' ',
  );
const unicode = ['utf8', 'ucs2', 'utf16', 'utf16le', 'utf32'];

/** Every character set that the servers have and Tidegate supports. */
const charsets: readonly TypeCase[] = [...legacy, ...unicode].map((charset) => ({
  name: `charset_${charset}`,
  type: `text, character set ${charset === 'utf8' ? 'utf8mb3' : charset}`,
  column: `text character set ${charset}`,
  values: [
    ...plain(['', 'a', `'"\t\n\r`, 'a  ', ...(charset === 'swe7' ? [] : ['\\N'])]),
    ...withNul,
    ...repertoire.map((text) => `convert(${textLiteral(text)} using ${charset})`),
    ...(bytesOf[charset] ?? []).map((hex) => `_${charset} x'${hex}'`),
  ],
  random: randomBasic.map((literal) => `convert(${literal} using ${charset})`),
  ...(servers[charset] === undefined ? {} : { on: servers[charset] }),
}));

/**
 * Only MariaDB accepts these bytes in a seven-bit column. As UTF-8 one of them would be a character, but to the server it is
 * none.
 */
const highAscii: TypeCase = {
  name: 'charset_ascii_high',
  type: 'text, character set ascii',
  column: 'text character set ascii',
  values: [`x'41c3a9'`, `x'41e9'`],
  on: mariadb(),
};

/** Fixed and short widths, for which the padding and length bytes of the image depend on the set. */
const widths: readonly TypeCase[] = ['latin1', 'utf8', 'ucs2', 'utf16', 'utf32', 'sjis'].flatMap((charset) =>
  ['char(10)', 'char(255)', 'varchar(64)', 'varchar(300)'].map((type) => ({
    name: `${type.replace(/\W+/g, '_')}_${charset}`,
    type: `${type.replace(/\(\d+\)/, '(n)')} in other character sets`,
    column: `${type} character set ${charset}`,
    values: ['', 'a', 'a\\', '\t', 'ab  ', '  x'].map(textLiteral),
    random: fc.string({ maxLength: 10, unit: 'grapheme-ascii' }).map(textLiteral),
  })),
);

/**
 * Members that the catalog cannot print: MariaDB and MySQL store it in utf8mb3. MySQL 5.6 stops at bytes that are not characters.
 */
const unprinted: readonly TypeCase[] = [
  { name: 'enum_emoji', column: `enum('a','🦷') character set utf8mb4` },
  { name: 'enum_question', column: `enum('yes','?') character set utf8mb4` },
  { name: 'enum_utf32_astral', column: `enum('a','\u{20000}') character set utf32` },
  {
    name: 'enum_bytes',
    column: `enum(x'ff','b',x'00') character set binary`,
    on: (server: CaseServer) => mariadb()(server) || server.version === '5.6',
  },
  { name: 'set_emoji', column: `set('a','🦷') character set utf8mb4` },
].map((one) => ({
  ...one,
  type: 'enum or set with a ? in its printed members',
  values: ['0', '1', '2'],
  notCarried: () => 'members',
}));

const members = `'','a','b c','co-ma','it''s','"q"','\\\\','back\\\\slash','ü','{}','NULL'`;
const setMembers = `'a','b c','it''s','"q"','\\\\','back\\\\slash','ü','{}','NULL','z'`;
const many = Array.from({ length: 300 }, (_, index) => `'m${index}'`).join(',');
const sixtyFour = Array.from({ length: 64 }, (_, index) => `'s${index}'`).join(',');

const keepsNul = (server: CaseServer) => mariadb()(server) || mysql('5.7')(server);

const lists: readonly TypeCase[] = [
  {
    name: 'enum_column',
    type: 'enum',
    column: `enum(${members.replace('co-ma', 'com,ma')}) character set utf8mb4`,
    values: [
      ['0', ''],
      [`'nonsense'`, ''],
      ['1', ''],
      ['2', 'a'],
      [`'com,ma'`, 'com,ma'],
      [`'it''s'`, `it's`],
      ['6', '"q"'],
      ['7', '\\'],
      ['8', 'back\\slash'],
      ['9', 'ü'],
      ['10', '{}'],
      ['11', 'NULL'],
    ],
    random: fc.integer({ min: 0, max: 11 }).map(String),
  },
  {
    name: 'enum_control',
    type: 'enum',
    column: `enum('a\\nb','c\\td','e\\rf','\\Z','\\\\n','''','%_') character set utf8mb4`,
    values: [
      ['1', 'a\nb'],
      ['2', 'c\td'],
      ['3', 'e\rf'],
      ['4', '\u001a'],
      ['5', '\\n'],
      ['6', `'`],
      ['7', '%_'],
    ],
  },
  {
    name: 'enum_twice',
    type: 'enum',
    column: `enum('a','b','a','A') character set utf8mb4 collate utf8mb4_bin`,
    values: ['1', '2', '3', '4', '0'],
  },
  {
    name: 'enum_latin1_question',
    type: 'enum',
    column: `enum('?','€','\u0081') character set latin1`,
    values: [['1', '?'], ['2', '€'], '3'],
  },
  {
    name: 'enum_300',
    type: 'enum',
    column: `enum(${many})`,
    values: [
      ['0', ''],
      ['1', 'm0'],
      ['255', 'm254'],
      ['256', 'm255'],
      ['300', 'm299'],
    ],
    random: fc.integer({ min: 0, max: 300 }).map(String),
  },
  ...['latin1', 'ucs2', 'sjis', 'binary'].map((charset) => ({
    name: `enum_${charset}`,
    type: 'enum',
    column: `enum('a','b\\\\c','d''e') character set ${charset}`,
    values: ['0', '1', '2', '3'],
  })),
  {
    name: 'set_column',
    type: 'set',
    column: `set(${setMembers}) character set utf8mb4`,
    values: [
      ['0', '{}'],
      [`''`, '{}'],
      ['1', '{a}'],
      ['3', '{a,"b c"}'],
      ['1023', String.raw`{a,"b c",it's,"\"q\"","\\","back\\slash",ü,"{}","NULL",z}`],
      ['512', '{z}'],
    ],
    random: fc.integer({ min: 0, max: 1023 }).map(String),
  },
  {
    name: 'set_64',
    type: 'set',
    column: `set(${sixtyFour})`,
    values: ['0', '1', '4294967296', '9223372036854775808', '18446744073709551615', ['2', '{s1}']],
    random: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  },
  {
    name: 'set_empty_member',
    type: 'set with an empty member',
    column: `set('','a')`,
    values: ['0', '1', '2', '3'],
    notCarried: () => 'the set has an empty member, so two of its values print alike',
  },
  {
    name: 'set_twice',
    type: 'set with a member twice',
    column: `set('a','b','a')`,
    values: ['0', '1', '4', '5'],
    notCarried: () => 'the set has a member twice, so two of its values print alike',
  },
  {
    name: 'set_control',
    type: 'set',
    column: `set('a\\nb','c\\td','"','\\\\')`,
    values: [
      ['15', '{"a\nb","c\td","\\"","\\\\"}'],
      ['4', '{"\\""}'],
    ],
  },
  // MySQL 5.6 truncates such a member when it creates the table.
  {
    name: 'enum_nul',
    type: 'enum',
    column: `enum('a','g\\0h') character set utf8mb4`,
    values: [['2', 'g\ufffdh'], '1'],
    on: keepsNul,
  },
  { name: 'set_nul', type: 'set', column: `set('a','g\\0h')`, values: [['2', '{g\ufffdh}'], '3'], on: keepsNul },
  { name: 'set_latin1', type: 'set', column: `set('a','é') character set latin1`, values: ['0', '1', '2', '3'] },
];

export const textCases: readonly TypeCase[] = [
  ...unicodeTypes,
  ...collations,
  ...charsets,
  highAscii,
  ...widths,
  ...unprinted,
  ...lists,
];
