import fc from 'fast-check';
import { type CaseValue, type TypeCase, mariadb } from '../type-case.ts';

const bits = { tinyint: 8, smallint: 16, mediumint: 24, int: 32, bigint: 64 } as const;

function integer(type: keyof typeof bits, unsigned: boolean): TypeCase {
  const size = BigInt(bits[type]);
  const low = unsigned ? 0n : -(1n << (size - 1n));
  const high = unsigned ? (1n << size) - 1n : (1n << (size - 1n)) - 1n;
  const beyondDoubles = [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 52n, -(2n ** 63n) + 1n];
  const values = [low, low + 1n, -1n, 0n, 1n, 9n, 10n, high - 1n, high, ...beyondDoubles].filter(
    (value) => value >= low && value <= high,
  );
  return {
    name: `${type}${unsigned ? '_unsigned' : '_signed'}`,
    type: `${type}${unsigned ? ' unsigned' : ''}`,
    column: `${type}${unsigned ? ' unsigned' : ''}`,
    values: values.map((value): CaseValue => [String(value), String(value)]),
    random: fc.bigInt({ min: low, max: high }).map(String),
  };
}

const integers = (Object.keys(bits) as (keyof typeof bits)[]).flatMap((type) => [
  integer(type, false),
  integer(type, true),
]);

function decimal(precision: number, scale: number, extra = ''): TypeCase {
  const digits = (length: number) =>
    fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: length }).map((all) => all.join(''));
  const integer = '9'.repeat(precision - scale) || '0';
  const fraction = scale === 0 ? '' : `.${'9'.repeat(scale)}`;
  const sign = extra.includes('unsigned') || extra.includes('zerofill') ? '' : '-';
  return {
    name: `decimal_${precision}_${scale}${extra === '' ? '' : `_${extra}`}`,
    type: 'decimal(p,s)',
    column: `decimal(${precision},${scale}) ${extra}`,
    values: [
      '0',
      `${sign}0`,
      `${sign}${integer}${fraction}`,
      `${integer}${fraction}`,
      ...(precision > scale ? ['1', `${sign}1`] : []),
      ...(scale > 0 ? [`${sign}0.${'0'.repeat(scale - 1)}1`, `0.${'1'.repeat(scale)}`] : []),
    ],
    random: fc
      .tuple(fc.constantFrom('', sign), digits(precision - scale), digits(scale))
      .map(([minus, left, right]) => `${minus}${left || '0'}${right === '' ? '' : `.${right}`}`),
  };
}

const singles = ['1.17549435e-38', '1e-45', '3.4028234663852886e38', '-3.4028234663852886e38'];
const exactSingles = ['0.1', '1e10', '16777215', '16777216', '16777217', '123456.789', '0.333333343', '-2.5'];

function float(name: string, column: string): TypeCase {
  return {
    name,
    type: 'float',
    column,
    values: [['0', '0'], '-1e0 * 0e0', ['0.1e0', '0.1'], ...singles, ...exactSingles],
    random: fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => sqlDouble(value)),
  };
}

const doubles = [
  '0.1e0',
  '0.1e0 + 0.2e0',
  '1e15',
  '1e16',
  '123456789012345678',
  '9007199254740993',
  '1.7976931348623157e308',
  '-1.7976931348623157e308',
  '2.2250738585072014e-308',
  '5e-324',
  '-5e-324',
  '1e22',
  '1e-7',
  '123456789.125',
];

/** A number that the server does not parse as a decimal, so that the sign of zero and all digits arrive. */
function sqlDouble(value: number): string {
  if (Object.is(value, -0)) return '-1e0 * 0e0';
  const text = String(value);
  return text.includes('e') ? text : `${text}e0`;
}

export const numberCases: readonly TypeCase[] = [
  ...integers,
  {
    name: 'int_zerofill',
    type: 'int unsigned',
    column: 'int(10) unsigned zerofill',
    values: [
      ['0', '0'],
      ['42', '42'],
      ['4294967295', '4294967295'],
    ],
  },
  { name: 'boolean_column', type: 'tinyint', column: 'tinyint(1)', values: ['0', '1', '-128', '127', 'null'] },
  {
    name: 'year_column',
    type: 'year',
    column: 'year',
    values: [['0', '0'], ['1901', '1901'], ['2155', '2155'], '1999'],
  },
  {
    name: 'year_2',
    type: 'year',
    column: 'year(2)',
    values: [
      ['1999', '99'],
      ['2000', '0'],
      ['70', '70'],
      ['2069', '69'],
    ],
    on: mariadb(),
  },
  decimal(65, 30),
  decimal(65, 0),
  decimal(30, 30),
  decimal(10, 2),
  decimal(9, 9),
  decimal(1, 0),
  decimal(20, 10, 'unsigned'),
  decimal(18, 9, 'zerofill'),
  float('float_column', 'float'),
  {
    ...float('float_7_4', 'float(7,4)'),
    values: ['0', '-1e0 * 0e0', '0.1', '999.9999', '-1.5'],
    random: fc.integer({ min: -9_999_999, max: 9_999_999 }).map((value) => String(value / 10_000)),
  },
  {
    name: 'double_column',
    type: 'double',
    column: 'double',
    values: [['0', '0'], '-1e0 * 0e0', ...doubles],
    random: fc.double({ noNaN: true, noDefaultInfinity: true }).map(sqlDouble),
  },
  {
    name: 'double_10_2',
    type: 'double',
    column: 'double(10,2)',
    values: ['0', '-1e0 * 0e0', '0.1', '0.3', '1.005', '99999999.99', '-12345678.91'],
    random: fc.integer({ min: -9_999_999, max: 9_999_999 }).map((cents) => String(cents / 100)),
  },
  {
    name: 'double_12_2_zerofill',
    type: 'double',
    column: 'double(12,2) zerofill',
    values: [['0', '0'], '0.1', '1.005', ['999999999.99', '999999999.99']],
    random: fc.integer({ min: 0, max: 9_999_999 }).map((cents) => String(cents / 100)),
  },
  { name: 'double_zerofill', type: 'double', column: 'double zerofill', values: ['0', '1.5', '1e300', '5e-324'] },
  { name: 'float_zerofill', type: 'float', column: 'float zerofill', values: ['0', '1.5', '0.1', '3e38'] },
  {
    name: 'double_255_30',
    type: 'double',
    column: 'double(255,30)',
    values: ['0', '1e25', '-1.5e100', '0.000000000000000000000000000001', '1e21', '0.1', '-1e-30'],
  },
];
