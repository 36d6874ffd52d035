import type { Finding } from '../../errors/finding.ts';
import type { TextRow } from '../connection.ts';
import { retentionSeconds } from './retention.ts';

/** The output of `show global variables`, by lower-case name. */
export type ServerVariables = ReadonlyMap<string, string>;

const subject = 'source settings';
const secondsPerDay = 86_400;

/** Checks the server settings that a copy relies on. `serverId` is the replica id that Tidegate announces. */
export function checkSettings(variables: ServerVariables, flavor: 'mariadb' | 'mysql', serverId: number): Finding[] {
  const findings: Finding[] = [];
  const is = (name: string, value: string) => (variables.get(name) ?? '').toUpperCase() === value;
  // A server without a variable behaves like its default: full images.
  const isOther = (name: string, value: string) => variables.has(name) && !is(name, value);
  const wrong = (message: string, remedy: string) => findings.push({ level: 'error', subject, message, remedy });

  if (!is('log_bin', 'ON')) wrong('the binlog is off (log_bin)', restart('log_bin = binlog', 'binlog_format = ROW'));
  if (isOther('binlog_format', 'ROW'))
    wrong(
      `binlog_format is ${variables.get('binlog_format')}: statements would be logged instead of rows`,
      `${inFile('binlog_format = ROW')}; and for new sessions: set global binlog_format = 'ROW';`,
    );
  if (isOther('binlog_row_image', 'FULL'))
    wrong(
      `binlog_row_image is ${variables.get('binlog_row_image')}: rows would arrive with columns missing`,
      `${inFile('binlog_row_image = FULL')}; and for new sessions: set global binlog_row_image = 'FULL';`,
    );
  if (is('server_id', '0')) wrong('server_id is 0: the server refuses replicas', restart('server_id = 1'));
  if (is('server_id', String(serverId)))
    wrong(
      "SOURCE_SERVER_ID is the source's own server_id",
      'choose another number for SOURCE_SERVER_ID, one that no server or replica has',
    );
  if ((variables.get('binlog_row_value_options') ?? '').toUpperCase().includes('PARTIAL_JSON'))
    wrong(
      'binlog_row_value_options has PARTIAL_JSON: JSON columns would arrive as differences, and their tables be suspended',
      `${inFile("binlog_row_value_options = ''")}; and for new sessions: set global binlog_row_value_options = '';`,
    );
  findings.push(...checkRetention(variables), ...checkCrashes(variables));
  if (findings.every(({ level }) => level !== 'error'))
    findings.push({
      level: 'ok',
      subject,
      message: `${flavor} ${variables.get('version')}: the binlog holds full row images`,
    });
  return findings;
}

/** Warns about settings with which a crash or a damaged disk changes the binlog unseen. */
function checkCrashes(variables: ServerVariables): Finding[] {
  const warning = (message: string, line: string): Finding => ({
    ...{ level: 'warning', subject, message },
    remedy: `${inFile(line)}; and at once: set global ${line};`,
  });
  const findings: Finding[] = [];
  const sync = variables.get('sync_binlog');
  if (sync !== undefined && sync !== '1')
    findings.push(
      warning(
        `sync_binlog is ${sync}: after a power failure the source may lack transactions that were already copied, and everything must be read again`,
        'sync_binlog = 1',
      ),
    );
  if ((variables.get('binlog_checksum') ?? '').toUpperCase() === 'NONE')
    findings.push(
      warning(
        'binlog_checksum is NONE: an event that is damaged on its way cannot be recognised',
        'binlog_checksum = CRC32',
      ),
    );
  return findings;
}

/** Warns about a short retention. If a target is stopped for longer, it must be copied again. */
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
      message: `the source keeps its binlog for ${Math.round(seconds / 360) / 10} hours only: after a longer stop everything must be copied again`,
      remedy: `${inFile(line)}; and at once: set global ${line};`,
    },
  ];
}

/** `status` is the binlog status of the server. Filters there keep changes out of the binlog, and no other check would show that. */
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
          ? `remove the line binlog-ignore-db = ${database} from my.ini (Windows) or my.cnf; then restart the server`
          : restart(`binlog-do-db = ${database}`),
      },
    ];
  return [];
}

/** Reads `show global status`. MySQL 5.6 and MariaDB show there, without any privilege, whether a server is itself a replica. */
export function isReplica(status: ReadonlyMap<string, string>): boolean {
  return status.get('slave_running') === 'ON' || Number(status.get('slaves_running') ?? 0) > 0;
}

/** A replica logs the changes it receives only with log_slave_updates. Newer MySQL has it on by default. */
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
  return `restart the server after this: ${inFile(lines.join(', and in the next line '))}`;
}
