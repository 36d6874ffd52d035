const secondsPerDay = 86_400;

/** Server variables that say when binlog files are purged by their age. */
export const retentionVariables = ['binlog_expire_logs_seconds', 'expire_logs_days', 'binlog_expire_logs_auto_purge'];

/**
 * Seconds a binlog file is kept after it was last written; 0: until somebody purges by hand. `variables` by lower-case name
 * (https://dev.mysql.com/doc/refman/8.4/en/replication-options-binary-log.html#sysvar_binlog_expire_logs_seconds).
 */
export function retentionSeconds(variables: ReadonlyMap<string, string>): number {
  if (variables.get('binlog_expire_logs_auto_purge')?.toUpperCase() === 'OFF') return 0;
  return (
    Number(variables.get('binlog_expire_logs_seconds') ?? 0) ||
    Number(variables.get('expire_logs_days') ?? 0) * secondsPerDay
  );
}
