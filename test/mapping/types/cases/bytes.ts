import fc from 'fast-check';
import { type CaseServer, type CaseValue, type TypeCase, bytesLiteral, mariadb, mysql } from '../type-case.ts';

const allBytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const shortValues = ['', '00', '0000', '5c', '5c4e', '090a0d', 'ff', '8041', '20', '4120', '410000'];

function bytes(name: string, column: string, limit: number): TypeCase {
  const fixed = column.startsWith('binary');
  return {
    name,
    type: column.replace(/\(\d+\)/, '(n)'),
    column,
    values: [
      ...shortValues
        .filter((hex) => hex.length / 2 <= limit)
        .map((hex): CaseValue => {
          const padded = fixed ? hex.padEnd(limit * 2, '0') : hex;
          return [bytesLiteral(Buffer.from(hex, 'hex')), `\\x${padded}`];
        }),
      ...(limit >= 256 ? [bytesLiteral(allBytes)] : []),
      ...(limit > 100_000 ? [`repeat(x'005cff', 400000)`] : []),
      // The longest mediumblob, and the shortest value whose length takes eight bytes on the wire.
      ...(limit === 2 ** 24 - 1 ? [`repeat(x'5c', 16777215)`] : []),
      ...(limit === 2 ** 32 ? [`repeat(x'00ff', 8 * 1024 * 1024)`] : []),
    ],
    random: fc.uint8Array({ maxLength: Math.min(limit, 40) }).map(bytesLiteral),
  };
}

const bitCases: readonly TypeCase[] = Array.from({ length: 64 }, (_, index) => index + 1).map((size) => {
  const ones = '1'.repeat(size);
  const expected = (digits: string) => (size === 1 ? (digits === '1' ? 'true' : 'false') : digits.padStart(size, '0'));
  return {
    name: `bit_${size}`,
    type: size === 1 ? 'bit(1)' : 'bit(n)',
    column: `bit(${size})`,
    values: ['0', '1', ones, `1${'0'.repeat(size - 1)}`].map((digits): CaseValue => [`b'${digits}'`, expected(digits)]),
    random: fc.bigInt({ min: 0n, max: 2n ** BigInt(size) - 1n }).map((value) => `b'${value.toString(2)}'`),
  };
});

const shapes: Readonly<Record<string, readonly string[]>> = {
  point: ['POINT(1.5 -2.25)', 'POINT(0 0)', 'POINT(1e100 -1e-100)'],
  linestring: ['LINESTRING(0 0,1 1,2 0.5)'],
  polygon: ['POLYGON((0 0,10 0,10 10,0 10,0 0),(1 1,2 1,2 2,1 2,1 1))'],
  multipoint: ['MULTIPOINT(0 0,1 1)'],
  multilinestring: ['MULTILINESTRING((0 0,1 1),(2 2,3 3))'],
  multipolygon: ['MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))'],
  geometrycollection: ['GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))'],
};

const spatialCases: readonly TypeCase[] = [
  ...Object.entries(shapes).map(([type, texts]) => ({
    name: `${type}_column`,
    type: 'spatial',
    column: type,
    values: texts.map((text) => `@from('${text}')`),
  })),
  {
    name: 'geometry_column',
    type: 'spatial',
    column: 'geometry',
    values: [
      ...Object.values(shapes)
        .flat()
        .map((text) => `@from('${text}')`),
      `@from('POINT(1 2)', 4326)`,
      `@from('GEOMETRYCOLLECTION EMPTY')`,
    ],
    random: fc
      .tuple(fc.integer({ min: -80, max: 80 }), fc.integer({ min: -80, max: 80 }))
      .map(([x, y]) => `@from('POINT(${x / 7} ${y})')`),
  },
].map((spatial) => ({
  ...spatial,
  // The name of the function before MySQL 5.6; all servers except the newest keep it.
  values: spatial.values.map((value) => value.replace('@from', 'st_geomfromtext')),
  ...('random' in spatial ? { random: spatial.random.map((value) => value.replace('@from', 'st_geomfromtext')) } : {}),
}));

/** Finite numbers, four bytes each. */
const vectorOf = (length: number) =>
  fc
    .array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: length, maxLength: length })
    .map((numbers) => bytesLiteral(new Uint8Array(Float32Array.from(numbers).buffer)));

const hasVector = (server: CaseServer) => mariadb('11.7')(server) || mysql('9.0')(server);

export const bytesCases: readonly TypeCase[] = [
  bytes('binary_1', 'binary(1)', 1),
  bytes('binary_16', 'binary(16)', 16),
  bytes('binary_255', 'binary(255)', 255),
  bytes('varbinary_0', 'varbinary(0)', 0),
  bytes('varbinary_64', 'varbinary(64)', 64),
  bytes('varbinary_3000', 'varbinary(3000)', 3000),
  bytes('tinyblob_column', 'tinyblob', 255),
  bytes('blob_column', 'blob', 65_535),
  bytes('mediumblob_column', 'mediumblob', 2 ** 24 - 1),
  bytes('longblob_column', 'longblob', 2 ** 32),
  ...bitCases,
  ...spatialCases,
  {
    name: 'vector_column',
    type: 'vector(n)',
    column: 'vector(3)',
    values: [[`x'0000803f0000004000004040'`, String.raw`\x0000803f0000004000004040`], `x'000000000000008000000000'`],
    random: vectorOf(3),
    on: hasVector,
  },
  {
    name: 'vector_longest',
    type: 'vector(n)',
    column: 'vector(16000)',
    values: [`repeat(x'0000803f', 16000)`, `repeat(x'ffff7f7f', 16000)`],
    on: hasVector,
  },
  {
    // MySQL accepts fewer dimensions than the column declares.
    name: 'vector_shorter',
    type: 'vector(n)',
    column: 'vector(4)',
    values: [[`string_to_vector('[1,-2.5]')`, String.raw`\x0000803f000020c0`], `string_to_vector('[3]')`],
    on: mysql('9.0'),
  },
];
