import { type TypeCase, mariadb } from '../type-case.ts';

/**
 * A custom zone with one summer, 2024-03-31 01:00 UTC to 2024-10-27 01:00 UTC, as in central Europe. It is defined here because a
 * fresh server knows no zones.
 */
export const zoneStatements: readonly string[] = [
  `insert into mysql.time_zone (time_zone_id, use_leap_seconds) values (7001, 'N')`,
  `insert into mysql.time_zone_name (name, time_zone_id) values ('Tide/Night', 7001)`,
  `insert into mysql.time_zone_transition_type (time_zone_id, transition_type_id, \`offset\`, is_dst, abbreviation)
     values (7001, 0, 3600, 0, 'TNT'), (7001, 1, 7200, 1, 'TNS')`,
  `insert into mysql.time_zone_transition (time_zone_id, transition_time, transition_type_id)
     values (7001, -2147483648, 0), (7001, 1711846800, 1), (7001, 1729990800, 0)`,
];

/** Both passes of the hour that occurs twice, and the edges of the hour that is skipped. */
export const zoneCases: readonly TypeCase[] = [
  {
    name: 'dst_night',
    type: 'timestamp in a night with summer time',
    column: 'timestamp(3) null',
    session: [`set time_zone = 'Tide/Night'`],
    values: [
      [`from_unixtime(1729987200.5)`, '2024-10-27 00:00:00.5+00'],
      [`from_unixtime(1729989000.25)`, '2024-10-27 00:30:00.25+00'],
      [`from_unixtime(1729990799)`, '2024-10-27 00:59:59+00'],
      [`'2024-10-27 03:00:00'`, '2024-10-27 02:00:00+00'],
      [`'2024-03-31 01:59:59.999'`, '2024-03-31 00:59:59.999+00'],
      [`'2024-03-31 03:00:00'`, '2024-03-31 01:00:00+00'],
      [`'2024-07-01 12:00:00'`, '2024-07-01 10:00:00+00'],
      [`'2024-12-01 12:00:00'`, '2024-12-01 11:00:00+00'],
    ],
  },
  {
    name: 'timestamp_default_zone',
    type: 'timestamp in a server zone other than UTC',
    column: 'timestamp(6) null',
    session: [`set time_zone = @@global.time_zone`],
    values: [`'2024-07-01 12:00:00.000001'`, `'1999-12-31 23:59:59'`],
  },
  {
    name: 'datetime_default_zone',
    type: 'datetime in a server zone other than UTC',
    column: 'datetime(6)',
    session: [`set time_zone = @@global.time_zone`],
    values: [[`'2024-07-01 12:00:00.000001'`, '2024-07-01 12:00:00.000001']],
  },
];

const oldFormat = ['set global mysql56_temporal_format = 0', 'set global mysql56_temporal_format = 1'] as const;
const oldFractions = [0, 1, 2, 3, 4, 5, 6] as const;

/** The formats before MySQL 5.6, which MariaDB still writes on request; the catalog marks them `mariadb-5.3`. */
export const oldTemporalCases: readonly TypeCase[] = oldFractions.flatMap((n): TypeCase[] => {
  const nines = n === 0 ? '' : `.${'9'.repeat(n)}`;
  const last = n === 0 ? '' : `.${'0'.repeat(n - 1)}1`;
  const of = (type: string, column: string, values: TypeCase['values']): TypeCase => ({
    name: `old_${type}_${n}`,
    type: `${type}(n) in the old format`,
    column,
    values,
    making: oldFormat,
    on: mariadb(),
  });
  return [
    of('datetime', `datetime(${n})`, [
      [`'0001-01-01 00:00:00'`, '0001-01-01 00:00:00'],
      [`'9999-12-31 23:59:59${nines}'`, `9999-12-31 23:59:59${nines}`],
      [`'0000-00-00 00:00:00'`, null],
      [`'2024-00-10 10:00:00${last}'`, null],
      `'2024-02-29 12:34:56${last}'`,
    ]),
    of('timestamp', `timestamp(${n}) null`, [
      [`'0000-00-00 00:00:00'`, null],
      [`'1970-01-01 00:00:01${last}'`, `1970-01-01 00:00:01${last}+00`],
      [`'2038-01-19 03:14:06${nines}'`, `2038-01-19 03:14:06${nines}+00`],
    ]),
    of('time', `time(${n})`, [
      `'838:59:59${nines}'`,
      `'-838:59:59${nines}'`,
      [`'00:00:00'`, '00:00:00'],
      [`'-00:00:00${last}'`, n === 0 ? '00:00:00' : `-00:00:00${last}`],
      `'-01:02:03${last}'`,
      `'255:59:59${nines}'`,
    ]),
  ];
});
