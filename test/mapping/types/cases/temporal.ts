import fc from 'fast-check';
import { type CaseValue, type TypeCase, mariadb } from '../type-case.ts';

const fractions = [0, 1, 2, 3, 4, 5, 6] as const;
const two = (value: number) => String(value).padStart(2, '0');
const part = (max: number, min = 0) => fc.integer({ min, max }).map(two);
const clock = fc.tuple(part(23), part(59), part(59)).map((parts) => parts.join(':'));
const days = fc
  .tuple(fc.integer({ min: 1, max: 9999 }), part(12, 1), part(28, 1))
  .map(([year, month, day]) => `${String(year).padStart(4, '0')}-${month}-${day}`);
const digits = (count: number) =>
  count === 0
    ? fc.constant('')
    : fc.integer({ min: 0, max: 10 ** count - 1 }).map((value) => `.${String(value).padStart(count, '0')}`);

const dateValues: CaseValue[] = [
  [`'0001-01-01'`, '0001-01-01'],
  [`'9999-12-31'`, '9999-12-31'],
  [`'0000-00-00'`, null],
  [`'2024-00-15'`, null],
  [`'2024-05-00'`, null],
  [`'2024-00-00'`, null],
  [`'0000-05-05'`, null],
  [`'2024-02-29'`, '2024-02-29'],
  [`'1900-02-28'`, '1900-02-28'],
  [`'1582-10-10'`, '1582-10-10'],
  [`'0099-12-31'`, '0099-12-31'],
];

/** Dates that are not in the calendar; the server accepts them in some SQL modes. */
const impossible: CaseValue[] = [
  [`'2023-02-29'`, null],
  [`'2023-02-31'`, null],
  [`'2023-04-31'`, null],
  [`'1900-02-29'`, null],
];

function datetime(fraction: number): TypeCase {
  const nines = fraction === 0 ? '' : `.${'9'.repeat(fraction)}`;
  const last = fraction === 0 ? '' : `.${'0'.repeat(fraction - 1)}1`;
  return {
    name: `datetime_${fraction}`,
    type: `datetime(${fraction})`,
    column: `datetime(${fraction})`,
    values: [
      [`'0001-01-01 00:00:00'`, '0001-01-01 00:00:00'],
      [`'9999-12-31 23:59:59${nines}'`, `9999-12-31 23:59:59${nines}`],
      [`'0000-00-00 00:00:00'`, null],
      [`'2024-00-10 10:00:00${last}'`, null],
      [`'2024-10-00 10:00:00'`, null],
      [`'1970-01-01 00:00:00${last}'`, `1970-01-01 00:00:00${last}`],
      `'2024-03-31 02:30:00'`,
    ],
    random: fc.tuple(days, clock, digits(fraction)).map(([day, time, rest]) => `'${day} ${time}${rest}'`),
  };
}

function timestamp(fraction: number): TypeCase {
  const nines = fraction === 0 ? '' : `.${'9'.repeat(fraction)}`;
  const last = fraction === 0 ? '' : `.${'0'.repeat(fraction - 1)}1`;
  // The session writes in UTC; `zones.ts` tests other zones.
  return {
    name: `timestamp_${fraction}`,
    type: `timestamp(${fraction})`,
    column: `timestamp(${fraction}) null`,
    values: [
      [`'0000-00-00 00:00:00'`, null],
      [`'1970-01-01 00:00:01'`, '1970-01-01 00:00:01+00'],
      [`'2038-01-19 03:14:06${nines}'`, `2038-01-19 03:14:06${nines}+00`],
      [`'1999-12-31 23:59:59${last}'`, `1999-12-31 23:59:59${last}+00`],
      `'2000-02-29 00:00:00'`,
      `'2024-03-31 01:30:00${nines}'`,
    ],
    random: fc
      .tuple(fc.integer({ min: 2, max: 2_147_483_646 }), digits(fraction))
      .map(([second, rest]) => `'${new Date(second * 1000).toISOString().slice(0, 19).replace('T', ' ')}${rest}'`),
  };
}

function time(fraction: number): TypeCase {
  const nines = fraction === 0 ? '' : `.${'9'.repeat(fraction)}`;
  const last = fraction === 0 ? '' : `.${'0'.repeat(fraction - 1)}1`;
  return {
    name: `time_${fraction}`,
    type: `time(${fraction})`,
    column: `time(${fraction})`,
    values: [
      // MySQL ends at 838:59:59 exactly, MariaDB at the end of that second.
      `'838:59:59${nines}'`,
      `'-838:59:59${nines}'`,
      `'838:59:58${nines}'`,
      [`'00:00:00'`, '00:00:00'],
      [`'-00:00:00${last}'`, fraction === 0 ? '00:00:00' : `-00:00:00${last}`],
      `'-00:00:01'`,
      `'-01:00:00${last}'`,
      `'23:59:59${nines}'`,
      `'24:00:00'`,
      `'100:00:00${nines}'`,
      `'-255:59:59${nines}'`,
    ],
    random: fc
      .tuple(fc.constantFrom('', '-'), fc.integer({ min: 0, max: 837 }).map(two), part(59), part(59), digits(fraction))
      .map(([sign, hours, minutes, seconds, rest]) => `'${sign}${hours}:${minutes}:${seconds}${rest}'`),
  };
}

/** MariaDB since 11.5 on 64 bits ends 68 years later than the others. */
const late: readonly TypeCase[] = [0, 3, 6].map((fraction) => {
  const nines = fraction === 0 ? '' : `.${'9'.repeat(fraction)}`;
  return {
    name: `timestamp_late_${fraction}`,
    type: 'timestamp(n) after 2038',
    column: `timestamp(${fraction}) null`,
    values: [
      [`'2038-01-19 03:14:08'`, '2038-01-19 03:14:08+00'],
      [`'2106-02-07 06:28:15${nines}'`, `2106-02-07 06:28:15${nines}+00`],
      `'2100-02-28 23:59:59${nines}'`,
      `'2100-03-01 00:00:00'`,
    ],
    random: fc
      .integer({ min: 2 ** 31, max: 2 ** 32 - 2 })
      .map((second) => `'${new Date(second * 1000).toISOString().slice(0, 19).replace('T', ' ')}'`),
    on: mariadb('11.5'),
  };
});

export const temporalCases: readonly TypeCase[] = [
  { name: 'date_column', type: 'date', column: 'date', values: dateValues, random: days.map((day) => `'${day}'`) },
  {
    name: 'date_impossible',
    type: 'date',
    column: 'date',
    values: impossible,
    session: [`set sql_mode = 'ALLOW_INVALID_DATES'`],
  },
  {
    name: 'datetime_impossible',
    type: 'datetime(3)',
    column: 'datetime(3)',
    values: [[`'2023-02-30 10:11:12.345'`, null]],
    session: [`set sql_mode = 'ALLOW_INVALID_DATES'`],
  },
  ...fractions.map(datetime),
  ...fractions.map(timestamp),
  ...late,
  ...fractions.map(time),
];
