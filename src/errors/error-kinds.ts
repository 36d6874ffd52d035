/** `retry`: a fresh connection may cure it. `operator`: a person must change something first. */
export type ErrorAction = 'retry' | 'operator';

interface KindFacts {
  readonly action: ErrorAction;
  readonly hint: string;
}

/** The one table of failures: what each kind calls for. A kind that is not certain to be transient needs an operator. */
export const errorKinds = {
  config: { action: 'operator', hint: 'Correct the settings named above in the environment or .env.' },
  'source-unreachable': {
    action: 'retry',
    hint: 'Check SOURCE_DB_HOST and SOURCE_DB_PORT, and that the server is up and its firewall lets this machine in.',
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
  'source-statement': { action: 'operator', hint: 'Report this: Tidegate sent a statement that the source refused.' },
  'source-table': { action: 'operator', hint: 'The source cannot give the rows of this table; the others go on.' },
  'source-busy': { action: 'retry', hint: 'The source timed a statement out; it is tried again.' },
  'source-settings': {
    action: 'operator',
    hint: 'Run `tidegate check`; it prints the line to put into my.ini or my.cnf.',
  },
  'source-changed': {
    action: 'operator',
    hint: 'The server behind the source address is not the one that was copied. Point Tidegate back at it; or, if this one is right, as after a restore, run `tidegate resync`: it makes the target equal to it, in place.',
  },
  'position-lost': {
    action: 'operator',
    hint: 'The source has purged the binlog the checkpoint needs. Run `tidegate resync`, which reads every table again, in place, and raise the retention.',
  },
  'binlog-unreadable': {
    action: 'operator',
    hint: 'What the binlog holds there cannot be followed exactly. Repair what the message names, for which `tidegate check` prints the line, then run `tidegate resync`, which reads every table again, in place.',
  },
  'server-id-taken': {
    action: 'operator',
    hint: 'Another replica uses SOURCE_SERVER_ID; choose a number no other server or tool has.',
  },
  'target-unreachable': {
    action: 'retry',
    hint: 'Check TARGET_DB_HOST and TARGET_DB_PORT, and that PostgreSQL is up and its pg_hba.conf lets this machine in.',
  },
  'target-login': { action: 'operator', hint: 'Check TARGET_DB_USER, its password, and TARGET_DB_NAME.' },
  'target-pooled': {
    action: 'operator',
    hint: 'A connection pooler stands before PostgreSQL. Let TARGET_DB_HOST and TARGET_DB_PORT lead to PostgreSQL itself; a handful of connections is all that is used.',
  },
  'target-tls': {
    action: 'operator',
    hint: 'Check TARGET_DB_TLS and TARGET_DB_TLS_CA against what the server offers.',
  },
  'target-privilege': {
    action: 'operator',
    hint: 'Let the target role create schemas: grant create on database … to …;',
  },
  'target-busy': { action: 'retry', hint: 'PostgreSQL asked for another try.' },
  'target-refused': {
    action: 'operator',
    hint: 'PostgreSQL refused rows; the table and SQLSTATE are named. Look for constraints, triggers or changed columns at the target.',
  },
  'bad-row': {
    action: 'operator',
    hint: 'TABLES_HALT names this table. Repair the row at the source, or what refuses it at the target; or take the table out of TABLES_HALT, so that such rows become dead letters and the others go on.',
  },
  'target-foreign': {
    action: 'operator',
    hint: 'Use another TARGET_DB_SCHEMA, or move those tables away; Tidegate never overwrites tables it did not make.',
  },
  'control-schema-newer': {
    action: 'operator',
    hint: 'Install the newer Tidegate that migrated this target; the older one must not run on it.',
  },
  'control-schema-older': {
    action: 'operator',
    hint: 'Start `tidegate run`: it takes the state of version 0.1 over, in one transaction. docs/operations.md has the way back.',
  },
  'lease-lost': { action: 'retry', hint: 'Another instance took over; this one goes back to standby.' },
  refused: { action: 'operator', hint: 'Repair the findings above, then run again.' },
  unconfirmed: {
    action: 'operator',
    hint: 'Look whether the source is the right one and whole. If it is, give the command again with --yes.',
  },
  internal: { action: 'operator', hint: 'Report this with the log.' },
} as const satisfies Record<string, KindFacts>;

export type ErrorKind = keyof typeof errorKinds;
