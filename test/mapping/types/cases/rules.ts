import fc from 'fast-check';
import type { CaseValue, TypeCase } from '../type-case.ts';
import { numberCases } from './numbers.ts';
import { temporalCases } from './temporal.ts';
import { oldTemporalCases, zoneCases } from './zones.ts';

const shown: Readonly<Record<string, string>> = {
  decimal: 'decimal(p,s)',
  year: 'year',
  date: 'date',
  datetime: 'datetime(n)',
  timestamp: 'timestamp(n)',
  time: 'time(n)',
};

/** Every case of a type that the rule fits; the target must hold the text that the server prints. */
const asText: readonly TypeCase[] = [...numberCases, ...temporalCases, ...zoneCases, ...oldTemporalCases].flatMap(
  (one) => {
    const [type = ''] = /^[a-z]+/.exec(one.column) ?? [];
    if (type === 'float' || type === 'double') return [];
    const name = shown[type] ?? 'an integer';
    return [
      {
        ...one,
        name: `text_${one.name}`,
        type: `${name} as text`,
        rule: 'text',
        values: one.values.map((value) => (typeof value === 'string' ? value : value[0])),
        byTarget: 's.v',
      },
    ];
  },
);

const zeroFilled: readonly TypeCase[] = [
  'tinyint(3)',
  'bigint(20)',
  'decimal(5,0)',
  'decimal(5,5)',
  'decimal(9,2)',
].map((column, index) => ({
  name: `text_zerofill_${index}`,
  type: column.startsWith('decimal') ? 'decimal(p,s) as text' : 'an integer as text',
  column: `${column} zerofill`,
  rule: 'text',
  values: ['0', '1', '0.01', '99', 'null'],
  byTarget: 's.v',
}));

const booleans: readonly TypeCase[] = ['tinyint(1)', 'tinyint unsigned', 'tinyint(3) zerofill'].map(
  (column, index) => ({
    name: `boolean_${index}`,
    type: 'tinyint as boolean',
    column,
    rule: 'boolean',
    values: [
      ['0', 'false'],
      ['1', 'true'],
      ['null', null],
    ],
    byTarget: 's.v::integer::boolean',
  }),
);

/** The seconds around clock changes of a zone, in two distant years. */
const nights: Readonly<Record<string, readonly number[]>> = {
  'America/New_York': [1710054000, 1730613600, 73609200, 57736800],
  'Europe/Berlin': [1711846800, 1729990800, 323830800, 338950800],
  'Australia/Lord_Howe': [1712415600, 1728142200, 372785400, 404839800],
  'Asia/Kathmandu': [504901800, 1711846800],
};
const around = [-3600, -1801, -1800, -1, 0, 1, 1799, 1800, 3599, 3600, 7199, 7200];

const local: readonly TypeCase[] = Object.entries(nights).flatMap(([zone, changes]) =>
  [0, 3, 6].map((fraction): TypeCase => {
    const part = fraction === 0 ? '' : `.${'0'.repeat(fraction - 1)}7`;
    return {
      name: `local_${zone.replace(/\W/g, '_').toLowerCase()}_${fraction}`,
      type: 'timestamp(n) as local time',
      column: `timestamp(${fraction}) null`,
      rule: `local=${zone}`,
      values: [
        'null',
        `'0000-00-00 00:00:00'`,
        `'1970-01-01 00:00:01${part}'`,
        `'2038-01-19 03:14:07'`,
        ...changes.flatMap((at) => around.map((seconds) => `from_unixtime(${at + seconds}${part})`)),
      ],
      random: fc.integer({ min: 2, max: 2_147_483_646 }).map((second) => `from_unixtime(${second}${part})`),
      byTarget: `(case when s.v not like '0000%' then s.v || '+00' end)::timestamptz at time zone '${zone}'`,
    };
  }),
);

/** The local times, written by hand, so that PostgreSQL is not the only reference. */
const newYork: TypeCase = {
  name: 'local_by_hand',
  type: 'timestamp(n) as local time',
  column: 'timestamp(1) null',
  rule: 'local=america/new_york',
  values: [
    [`'2024-03-10 06:59:59.9'`, '2024-03-10 01:59:59.9'],
    [`'2024-03-10 07:00:00'`, '2024-03-10 03:00:00'],
    [`'2024-11-03 05:30:00'`, '2024-11-03 01:30:00'],
    [`'2024-11-03 06:30:00'`, '2024-11-03 01:30:00'],
    [`'1970-01-01 00:00:01'`, '1969-12-31 19:00:01'],
    [`'2000-01-01 00:00:00'`, '1999-12-31 19:00:00'],
    [`'0000-00-00 00:00:00'`, null],
  ],
  byTarget: `(case when s.v not like '0000%' then s.v || '+00' end)::timestamptz at time zone 'America/New_York'`,
};

function sentinel(type: string, date: string, fraction: number, more: Partial<TypeCase> = {}): TypeCase {
  const column = type === 'date' ? type : `${type}(${fraction})`;
  const clock = type === 'date' ? '' : ' 00:00:00';
  const zone = type === 'timestamp' ? '+00' : '';
  const part = fraction === 0 ? '' : `.${'0'.repeat(fraction - 1)}1`;
  const near: readonly CaseValue[] = [
    [`'${date} 00:00:01'`, `${date} 00:00:01${zone}`],
    [`'${date} 00:01:00${part}'`, `${date} 00:01:00${part}${zone}`],
    ...(fraction === 0 ? [] : [[`'${date} 00:00:00${part}'`, `${date} 00:00:00${part}${zone}`] as const]),
  ];
  return {
    name: `null_${type}_${fraction}`,
    type: `${column.replace(/\d/, 'n')} with a date that is NULL`,
    column: type === 'timestamp' ? `${column} null` : column,
    rule: `null=${date}`,
    values: [
      [`'${date}${clock}'`, null],
      [`'2024-02-29${clock}'`, `2024-02-29${clock}${zone}`],
      [`'0000-00-00${clock}'`, null],
      ['null', null],
      ...(type === 'date' ? [] : near),
    ],
    byTarget: `(case when s.v !~ '^(0000.*|${date}( 00:00:00(\\.0*)?)?)$' then s.v || '${zone}' end)::${type === 'date' ? type : type === 'datetime' ? 'timestamp' : 'timestamptz'}`,
    ...more,
  };
}

const sentinels: readonly TypeCase[] = [
  sentinel('date', '0001-01-01', 0),
  sentinel('datetime', '0001-01-01', 0),
  sentinel('datetime', '1800-12-28', 6),
  sentinel('timestamp', '2000-01-01', 0),
  sentinel('timestamp', '2000-01-01', 3),
  ...[0, 2].map((fraction) => {
    const old = oldTemporalCases.find(({ name }) => name === `old_datetime_${fraction}`);
    const { making = ['', ''], on = () => true } = old ?? {};
    return sentinel('datetime', '0001-01-01', fraction, { name: `null_old_datetime_${fraction}`, making, on });
  }),
];

export const ruleCases: readonly TypeCase[] = [...asText, ...zeroFilled, ...booleans, ...local, newYork, ...sentinels];
