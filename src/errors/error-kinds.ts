/** `retry`: a fresh connection may resolve the failure. `operator`: a person must change something first. */
export type ErrorAction = 'retry' | 'operator';

interface KindFacts {
  readonly action: ErrorAction;
  readonly hint: string;
}

/** The action and the hint of every error kind. A kind that is not certain to be transient needs an operator. */
export const errorKinds = {
  config: { action: 'operator', hint: 'Correct the settings named above in the environment or .env.' },
  'source-unreachable': {
    action: 'retry',
    hint: 'Check SOURCE_DB_HOST and SOURCE_DB_PORT, and that the server is up and its firewall admits this machine.',
  },
  'source-login': {
    action: 'operator',
    hint: 'Check the user and password of this role, and the host part of the account at the source.',
  },
  'source-tls': {
    action: 'operator',
    hint: 'Check SOURCE_DB_TLS and SOURCE_DB_TLS_CA against what the server offers.',
  },
  'source-privilege': { action: 'operator', hint: 'Grant the missing privilege; `tidegate check` prints the line.' },
  'privileged-source': {
    action: 'operator',
    hint: 'If only Tidegate uses this account, let an administrator take these rights away again; the service goes on within a minute. Otherwise give Tidegate an account of its own: `tidegate check` prints the statements.',
  },
  'source-statement': { action: 'operator', hint: 'Report this: Tidegate sent a statement that the source refused.' },
  'source-table': {
    action: 'operator',
    hint: 'The source cannot return the rows of this table. The other tables continue.',
  },
  'source-busy': { action: 'retry', hint: 'A statement timed out at the source. Tidegate tries again.' },
  'source-settings': {
    action: 'operator',
    hint: 'Run `tidegate check`; it prints the line to put into my.ini or my.cnf.',
  },
  'source-changed': {
    action: 'operator',
    hint: 'The source address leads to another server than the one that was copied. Correct the address. If the server is right, for example after a restore, run `tidegate resync`: it makes the target equal to the source, in place.',
  },
  'source-diverged': {
    action: 'operator',
    hint: 'The source has lost transactions that the target has, for example by a power failure or a restored backup. Nothing was changed at the target. Run `tidegate resync`: it makes the target equal to the source, in place.',
  },
  'position-lost': {
    action: 'operator',
    hint: 'The source has purged the binlog that the checkpoint needs. Raise the retention, then run `tidegate resync`: it reads every table again, in place.',
  },
  'binlog-unreadable': {
    action: 'operator',
    hint: 'Tidegate cannot follow the binlog exactly at this position. Start it again, because the damage may be gone. If it ends at the same position, run `tidegate resync`: it reads every table again, in place.',
  },
  'binlog-damaged': {
    action: 'retry',
    hint: 'An event of the binlog arrived damaged. Tidegate reads it again on a new connection. If this happens often, check the network and the memory of both machines.',
  },
  'server-id-taken': {
    action: 'operator',
    hint: 'Another replica uses SOURCE_SERVER_ID; choose a number that no other server or tool uses.',
  },
  'target-unreachable': {
    action: 'retry',
    hint: 'Check TARGET_DB_HOST and TARGET_DB_PORT, and that PostgreSQL is up and its pg_hba.conf admits this machine.',
  },
  'target-login': { action: 'operator', hint: 'Check TARGET_DB_USER, its password, and TARGET_DB_NAME.' },
  'target-pooled': {
    action: 'operator',
    hint: 'TARGET_DB_HOST and TARGET_DB_PORT lead to a connection pooler. Set them to PostgreSQL itself; Tidegate uses only a handful of connections.',
  },
  'target-tls': {
    action: 'operator',
    hint: 'Check TARGET_DB_TLS and TARGET_DB_TLS_CA against what the server offers.',
  },
  'target-privilege': {
    action: 'operator',
    hint: 'Run `tidegate check`: it prints the grant that the target role lacks.',
  },
  'target-busy': { action: 'retry', hint: 'PostgreSQL asked for another try. Tidegate tries again.' },
  'target-refused': {
    action: 'operator',
    hint: 'PostgreSQL refused rows; the message names the table and the SQLSTATE. Look for constraints, triggers or changed columns at the target.',
  },
  'bad-row': {
    action: 'operator',
    hint: 'TABLES_HALT names this table. Repair the row at the source, or remove what refuses it at the target. Or remove the table from TABLES_HALT: such rows then become dead letters and the others continue.',
  },
  'target-foreign': {
    action: 'operator',
    hint: 'Use another TARGET_DB_SCHEMA, or move those objects away; Tidegate never touches what it did not create. After a restore of the target from a dump, run `tidegate adopt`.',
  },
  'control-schema-newer': {
    action: 'operator',
    hint: 'Install the newer Tidegate that migrated this target; the older one must not run on it.',
  },
  'control-schema-older': {
    action: 'operator',
    hint: 'Start `tidegate run`: it migrates the state of version 0.1 in one transaction. docs/install.md (Rollback) has the way back.',
  },
  'lease-lost': { action: 'retry', hint: 'Another instance holds the lease now; this one returns to standby.' },
  'output-failed': {
    action: 'operator',
    hint: 'Free space where the output goes, or send it elsewhere. What the command had done stays done: `tidegate lag` and `tidegate jobs` show it.',
  },
  refused: { action: 'operator', hint: 'Correct the findings above, then run again.' },
  unconfirmed: {
    action: 'operator',
    hint: 'Check that the source is the right one and complete. If it is, repeat the command with --yes.',
  },
  internal: { action: 'operator', hint: 'Report this with the log.' },
} as const satisfies Record<string, KindFacts>;

export type ErrorKind = keyof typeof errorKinds;
