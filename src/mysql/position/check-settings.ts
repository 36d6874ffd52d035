import type { Finding } from '../../change/finding.ts';
import type { TextRow } from '../connection.ts';
import { retentionSeconds } from './retention.ts';

/** What `show global variables` says, by lower-case name. */
export type ServerVariables = ReadonlyMap<string, string>;

const subject = 'source settings';
const secondsPerDay = 86_400;

/** The server settings a copy rests on. `serverId` is the replica id we announce. */
export function checkSettings(variables: ServerVariables, flavor: 'mariadb' | 'mysql', serverId: number): Finding[] {
  const findings: Finding[] = [];
  const is = (name: string, value: string) => (variables.get(name) ?? '').toUpperCase() === value;
  // Servers older than a variable behave as its default: full images, and no compression.
  const isOther = (name: string, value: string) => variables.has(name) && !is(name, value);
  const wrong = (message: string, remedy: string) => findings.push({ level: 'error', subject, message, remedy });

  if (!is('log_bin', 'ON')) wrong('the binlog is off (log_bin)', restart('log_bin = binlog', 'binlog_format = ROW'));
  if (isOther('binlog_format', 'ROW'))
    wrong(
      `binlog_format is ${variables.get('binlog_format')}: statements would be logged instead of rows`,
      `${inFile('binlog_format = ROW')}; and for sessions that begin from now on: set global binlog_format = 'ROW';`,
    );
  if (isOther('binlog_row_image', 'FULL'))
    wrong(
      `binlog_row_image is ${variables.get('binlog_row_image')}: rows would arrive with columns missing`,
      `${inFile('binlog_row_image = FULL')}; and for sessions that begin from now on: set global binlog_row_image = 'FULL';`,
    );
  if (is('server_id', '0')) wrong('server_id is 0: the server refuses replicas', restart('server_id = 1'));
  if (is('server_id', String(serverId)))
    wrong(
      "SOURCE_SERVER_ID is the source's own server_id",
      'choose another number for SOURCE_SERVER_ID, one that no server or replica has',
    );
  if (is('binlog_transaction_compression', 'ON'))
    wrong(
      'binlog_transaction_compression is ON: transactions would arrive in a form that is not read',
      `${inFile('binlog_transaction_compression = OFF')}; and for sessions that begin from now on: set global binlog_transaction_compression = OFF;`,
    );
  if ((variables.get('binlog_row_value_options') ?? '').toUpperCase().includes('PARTIAL_JSON'))
    wrong(
      'binlog_row_value_options has PARTIAL_JSON: JSON columns would arrive as differences',
      `${inFile("binlog_row_value_options = ''")}; and for sessions that begin from now on: set global binlog_row_value_options = '';`,
    );
  findings.push(...checkRetention(variables));
  if (findings.every(({ level }) => level !== 'error'))
    findings.push({
      level: 'ok',
      subject,
      message: `${flavor} ${variables.get('version')}: the binlog holds full row images`,
    });
  return findings;
}

/** A target that is stopped for longer than the source keeps its binlog must be copied anew. */
function checkRetention(variables: ServerVariables): Finding[] {
  const seconds = retentionSeconds(variables);
  if (seconds === 0 || seconds >= secondsPerDay) return [];
  const line = variables.has('binlog_expire_logs_seconds')
    ? `binlog_expire_logs_seconds = ${7 * secondsPerDay}`
    : 'expire_logs_days = 7';
  return [
    {
      level: 'warning',
      subject,
      message: `the source keeps its binlog for ${Math.round(seconds / 360) / 10} hours only: after a longer stop everything must be copied anew`,
      remedy: `${inFile(line)}; and at once: set global ${line};`,
    },
  ];
}

/** `status` is the server's binlog status: filters there keep changes out of the binlog, and nothing else would tell. */
export function checkBinlogFilters(status: TextRow, database: string): Finding[] {
  const names = (column: string) => (status[column] ?? '').split(',').map((name) => name.trim().toLowerCase());
  const only = names('Binlog_Do_DB').filter((name) => name !== '');
  const filtered = names('Binlog_Ignore_DB').includes(database.toLowerCase());
  if (filtered || (only.length > 0 && !only.includes(database.toLowerCase())))
    return [
      {
        level: 'error',
        subject,
        message: `the server keeps changes to ${database} out of its binlog (${filtered ? 'binlog-ignore-db' : 'binlog-do-db'})`,
        remedy: filtered
          ? `take the line binlog-ignore-db = ${database} out of my.ini (Windows) or my.cnf; then restart the server`
          : restart(`binlog-do-db = ${database}`),
      },
    ];
  return [];
}

/** From `show global status`, where MySQL 5.6 and MariaDB tell without any privilege whether a server is a replica itself. */
export function isReplica(status: ReadonlyMap<string, string>): boolean {
  return status.get('slave_running') === 'ON' || Number(status.get('slaves_running') ?? 0) > 0;
}

/** A replica logs what it receives only with log_slave_updates; newer MySQL does by default. */
export function checkReceivedChanges(variables: ServerVariables, status: ReadonlyMap<string, string>): Finding[] {
  if (!isReplica(status) || variables.get('log_slave_updates') !== 'OFF') return [];
  return [
    {
      level: 'error',
      subject,
      message: 'the source is a replica itself and does not log the changes it receives (log_slave_updates is OFF)',
      remedy: restart('log_slave_updates = ON'),
    },
  ];
}

function inFile(line: string): string {
  return `in my.ini (Windows) or my.cnf, below [mysqld]: ${line}`;
}

function restart(...lines: string[]): string {
  return `restart the server after this: ${inFile(lines.join('\n'))}`;
}
