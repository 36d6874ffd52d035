import type { Config, SourceConfig } from '../../config/config.ts';
import type { Finding } from '../../errors/finding.ts';
import { describeError } from '../../errors/describe-error.ts';
import { readCatalog } from '../../mysql/catalog/catalog.ts';
import { checkSeesReplicaLag, privilegedSource, readerGrantsSubject } from '../../mysql/grants/check-grants.ts';
import {
  checkBinlogFilters,
  checkReceivedChanges,
  checkSettings,
  isReplica,
} from '../../mysql/position/check-settings.ts';
import { SourceConnection } from '../../mysql/connection.ts';
import type { SourceRole } from '../../mysql/wire/guarded-connection.ts';
import { readBinlogStatus } from '../../mysql/position/positions.ts';
import { readServerFlavor } from '../../mysql/server-flavor.ts';
import { checkCarried } from '../../postgres/check/check-carried.ts';
import { checkTarget } from '../../postgres/check/check-target.ts';
import { hasControlTable, isOfVersion01 } from '../../postgres/control/migrate.ts';
import { type Reading, TargetSession } from '../../postgres/session.ts';
import { type KnownTable, suspendedRemedy, readTables } from '../../postgres/control/table-states.ts';
import { type Scope, inPart } from '../../lifetime/scope.ts';
import { checkTables } from './check-tables.ts';
import { judgeReader, judgeReplicator, toleratesPrivileges } from './source-rights.ts';
import { assertContinues, readProgress } from '../begin/continuation.ts';
import { assertSameRules } from '../begin/rule-changes.ts';
import { selectionOf } from '../begin/table-plan.ts';

export interface CheckOptions {
  /** Source accounts with too many rights cause only a warning. For development; refused in production. */
  readonly allowPrivilegedSource: boolean;
}

/**
 * Checks everything that can be known before work starts, and changes nothing anywhere. Each connection is checked by itself, so a
 * failure of one does not hide the findings of another.
 */
export async function runChecks(scope: Scope, config: Config, options: CheckOptions): Promise<Finding[]> {
  const asked = options.allowPrivilegedSource;
  const judge = judgeGrants(toleratesPrivileges(config, asked));
  const reader = await withSource(
    scope,
    config,
    'reader',
    async (connection) => await checkReader(scope, connection, config, judge),
  );
  const replicator = await withSource(
    scope,
    config,
    'replicator',
    async (connection) => await checkReplicator(scope, connection, config, judge),
  );
  const planned = reader.value ?? [];
  const target = await checkTargetSide(scope, config, planned);
  return [
    ...(asked && config.environment === 'production' ? [notInProduction] : []),
    ...config.unknown.map(unknownSetting),
    ...(await explainShutOut(scope, config, reader.findings, judge)),
    ...replicator.findings,
    ...target,
  ];
}

const notInProduction: Finding = {
  level: 'error',
  subject: 'options',
  message: '--allow-privileged-source is for development, and ENVIRONMENT is production',
  remedy: 'remove --allow-privileged-source, and give the source accounts the rights that `tidegate grants` prints',
};

/** The variable may belong to another program, so it is no error. */
function unknownSetting(message: string): Finding {
  return {
    level: 'warning',
    subject: 'settings',
    message,
    remedy: 'correct or remove it; .env.template has every setting',
  };
}

/** Adjusts the findings about an account's rights. */
type Judge = (findings: Finding[]) => Finding[];

function judgeGrants(allowPrivileged: boolean): Judge {
  return (findings) =>
    findings.map((finding) =>
      allowPrivileged && finding.kind === privilegedSource && finding.level === 'error'
        ? { ...finding, level: 'warning', message: `${finding.message}; allowed by --allow-privileged-source` }
        : finding,
    );
}

interface Checked<T> {
  readonly findings: Finding[];
  readonly value?: T;
}

async function withSource<T>(
  scope: Scope,
  config: Config,
  role: SourceRole,
  work: (connection: SourceConnection) => Promise<Checked<T>>,
): Promise<Checked<T>> {
  const subject = `source (${role})`;
  await using part = scope.child();
  try {
    const connection = await SourceConnection.open(part, config.source, role);
    const { findings, value } = await work(connection);
    const connected: Finding = {
      level: 'ok',
      subject,
      message: `connected as ${config.source[role].user}, ${tlsInWords(config.source.tls.mode)}`,
    };
    return { findings: [connected, ...findings], ...(value === undefined ? {} : { value }) };
  } catch (error) {
    return { findings: [failure(subject, error)] };
  }
}

function failure(subject: string, error: unknown): Finding {
  const { kind, message, hint } = describeError(error);
  const repeated = `${subject}: `;
  const text = message.startsWith(repeated) ? message.slice(repeated.length) : message;
  return { level: 'error', subject, kind, message: text, ...(hint === undefined ? {} : { remedy: hint }) };
}

function tlsInWords(mode: string): string {
  return mode === 'disable' ? 'without TLS' : `TLS ${mode}`;
}

/** An account without any right on a database cannot connect to it. Without a database, its grants still show the missing right. */
async function explainShutOut(
  scope: Scope,
  config: Config,
  findings: readonly Finding[],
  judge: Judge,
): Promise<readonly Finding[]> {
  const at = findings.findIndex(({ kind }) => kind === 'source-privilege');
  if (at === -1) return findings;
  const outside = { ...config, source: { ...config.source, database: '' } };
  const seen = await withSource(scope, outside, 'reader', async (connection) => ({
    findings: judge(await readerGrants(connection, config.source)),
  }));
  const [missing, ...others] = seen.findings.filter(({ subject }) => subject === readerGrantsSubject);
  if (missing?.level !== 'error' || missing.kind === privilegedSource) return findings;
  const { subject, kind, message } = findings[at] as Finding;
  return [
    ...findings.slice(0, at),
    { ...missing, subject, ...(kind && { kind }), message: `${message}: ${missing.message}` },
    ...others,
    ...findings.slice(at + 1),
  ];
}

async function readerGrants(connection: SourceConnection, source: SourceConfig): Promise<Finding[]> {
  const { flavor } = await readServerFlavor(connection);
  return await judgeReader(connection, flavor, source);
}

/** Its value: the names of the tables that will be replicated. */
async function checkReader(
  scope: Scope,
  connection: SourceConnection,
  config: Config,
  judge: Judge,
): Promise<Checked<string[]>> {
  const { database } = config.source;
  const grants = judge(await readerGrants(connection, config.source));
  const { findings, tables } = checkTables(await readCatalog(connection, database), config);
  const known = await fromTarget(scope, config, async ({ db }) => await readTables(db));
  return { findings: [...grants, ...findings, ...changedRules(config, known ?? [])], value: tables };
}

function changedRules(config: Config, known: readonly KnownTable[]): Finding[] {
  try {
    assertSameRules(known, selectionOf(config));
    return [];
  } catch (error) {
    return [failure('column rules', error)];
  }
}

async function checkReplicator(
  scope: Scope,
  connection: SourceConnection,
  config: Config,
  judge: Judge,
): Promise<Checked<never>> {
  const { database } = config.source;
  const named = async (statement: string) =>
    new Map(
      (await connection.query(statement)).map((row) => [row['Variable_name']?.toLowerCase() ?? '', row['Value'] ?? '']),
    );
  const variables = await named('show global variables');
  const status = await named(`show global status where variable_name in ('Slave_running', 'Slaves_running')`);
  const server = await readServerFlavor(connection);
  const rights = await judgeReplicator(connection, server.flavor, config.source);
  const findings = [
    ...judge(rights.findings),
    ...(isReplica(status) ? checkSeesReplicaLag(rights.grants, server.flavor) : []),
    ...checkSettings(variables, server.flavor, config.source.serverId),
    ...checkReceivedChanges(variables, status),
  ];
  // These checks come last, when nothing above explains a failure better: the database is logged, and the source can continue.
  if (findings.every(({ level }) => level !== 'error')) {
    findings.push(...checkBinlogFilters(await readBinlogStatus(connection), database));
    const progress = await fromTarget(scope, config, async ({ db }) => await readProgress(db));
    if (progress !== null)
      await assertContinues(connection, server, database, progress).catch((error: unknown) =>
        findings.push(failure('position', error)),
      );
  }
  return { findings };
}

/** What the target has; null if it has nothing yet or cannot be asked. The target's own check reports that. */
async function fromTarget<T>(
  scope: Scope,
  config: Config,
  read: (session: TargetSession) => Promise<T>,
): Promise<T | null> {
  try {
    return await withTarget(scope, config, read);
  } catch {
    // There is no control schema yet, or no target. Another check reports both.
    return null;
  }
}

async function checkTargetSide(scope: Scope, config: Config, tables: readonly string[]): Promise<Finding[]> {
  try {
    return await withTarget(scope, config, async (session) => {
      const connected: Finding = {
        level: 'ok',
        subject: 'target',
        message: `connected as ${config.target.user.user}, ${tlsInWords(config.target.tls.mode)}`,
      };
      const found = await checkTarget(session, config.target.schema, config.target.database, tables);
      if (await isOfVersion01(session.db)) return [connected, ...found, takeOver];
      // What is in the way of a table explains its suspension better.
      const isExplained = new Set(found.map(({ subject }) => subject));
      const states = (await checkStates(session.db, config)).filter(({ subject }) => !isExplained.has(subject));
      return [connected, ...found, ...states, ...(await checkCarried(session.db))];
    });
  } catch (error) {
    return [failure('target', error)];
  }
}

const takeOver: Finding = {
  level: 'warning',
  subject: 'target',
  message:
    'the control schema is of Tidegate 0.1; the next run moves all replicas of this database into schemas of their own',
  remedy:
    'stop all services of 0.1 and make the backup of docs/install.md (Upgrade from 0.1) first, so that you can go back',
};

/** Suspended tables. Tables that are no longer selected are excluded by the next run, so they are not reported. */
async function checkStates(db: Reading, config: Config): Promise<Finding[]> {
  if (!(await hasControlTable(db, 'schema_versions'))) return [];
  const { isSelected } = selectionOf(config);
  return (await readTables(db))
    .filter(({ table, state }) => state === 'suspended' && isSelected(table))
    .map(({ table, reason, retryAt, decision }) => ({
      level: 'warning',
      subject: `table ${table}`,
      message: `suspended, so its rows at the target stay as they were then: ${reason}`,
      remedy: suspendedRemedy({ table, retryAt, decision }),
    }));
}

async function withTarget<T>(scope: Scope, config: Config, work: (session: TargetSession) => Promise<T>): Promise<T> {
  return await inPart(
    scope,
    async (part) => await work(await TargetSession.open(part, config.target, 'tidegate check')),
  );
}
