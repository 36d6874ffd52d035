const secondsPerDay = 86_400;

/** Server variables that control when binlog files are purged by age. */
export const retentionVariables = ['binlog_expire_logs_seconds', 'expire_logs_days', 'binlog_expire_logs_auto_purge'];

/**
 * Seconds that a binlog file is kept after its last write; 0: until it is purged by hand. `variables` is by lower-case name
 * (https://dev.mysql.com/doc/refman/8.4/en/replication-options-binary-log.html#sysvar_binlog_expire_logs_seconds).
 */
export function retentionSeconds(variables: ReadonlyMap<string, string>): number {
  if (variables.get('binlog_expire_logs_auto_purge')?.toUpperCase() === 'OFF') return 0;
  return (
    Number(variables.get('binlog_expire_logs_seconds') ?? 0) ||
    Number(variables.get('expire_logs_days') ?? 0) * secondsPerDay
  );
}
