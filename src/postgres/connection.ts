import pg from 'pg';
import type { TargetConfig } from '../config/config.ts';
import { fromPostgres, sqlStateOf } from '../errors/postgres-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { addressOf, unreachableCause } from '../errors/transport-errors.ts';
import { type Scope, breakable } from '../lifetime/scope.ts';
import { backendOf, socketOf } from './wire/client.ts';
import { askForTls } from './wire/tls-probe.ts';

const connectTimeoutMs = 10_000;
/** Time limits of a role or database against forgotten sessions, which newer versions have besides others. All are turned off here. */
const limits = ['idle_session_timeout', 'transaction_timeout'];

/** One process of PostgreSQL, which serves one session. A later one may have the same process id. */
export interface Backend {
  readonly pid: number;
  /** As text, to the microsecond. */
  readonly startedAt: string;
}

/**
 * Opens one PostgreSQL connection of the target role. Its text format does not depend on defaults of the role or server: ISO dates, UTC,
 * exact floats, `\x` bytes, standard strings. It waits for locks without a time limit; see stall-watch.ts.
 *
 * Commits do not wait for the disk (synchronous_commit = off). Rows and the checkpoint that covers them share one transaction. A crash of
 * PostgreSQL loses only the last transactions, in order (https://www.postgresql.org/docs/current/wal-async-commit.html). The binlog then
 * delivers them again. Only the lease waits for the disk; see lease.ts.
 *
 * The scope owns the connection while it connects; after that, the caller does.
 *
 * Raises TidegateError target-unreachable, target-tls, target-login, target-pooled or target-privilege.
 */
export async function openTarget(
  scope: Scope,
  target: TargetConfig,
  applicationName = 'tidegate',
): Promise<{ readonly client: pg.Client; readonly backend: Backend }> {
  const { mode, ca } = target.tls;
  const client = new pg.Client({
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user.user,
    password: target.user.password,
    application_name: applicationName,
    keepAlive: true,
    options:
      '-c timezone=UTC -c datestyle=ISO,YMD -c extra_float_digits=1 -c intervalstyle=postgres -c bytea_output=hex' +
      ' -c synchronous_commit=off -c client_encoding=UTF8 -c client_min_messages=warning -c standard_conforming_strings=on' +
      // Row level security that would hide rows raises an error instead, so no row goes missing in silence.
      ' -c array_nulls=on -c default_transaction_isolation=read\\ committed -c row_security=off' +
      ' -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0',
    ssl:
      mode === 'disable'
        ? false
        : {
            rejectUnauthorized: true,
            ...(ca === undefined ? {} : { ca }),
            ...(mode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
          },
  });
  // A connection that breaks while idle must not crash the process; the next query reports it.
  client.on('error', () => undefined);
  // pg replaces the socket when it turns on TLS.
  const breakOff = () => socketOf(client).destroy();
  const opening = breakable(breakOff);
  scope.throwIfHungUp();
  scope.own(opening);
  const connect = `connect to ${addressOf(target)}`;
  const late = () =>
    new TidegateError(
      'target-unreachable',
      `target: ${connect} failed: no answer within ${connectTimeoutMs / 1000} s`,
      {
        hint: unreachableCause('ETIMEDOUT')?.hint('TARGET') ?? '',
      },
    );
  try {
    // pg has a limit of its own, whose error has no code.
    await scope.within(connectTimeoutMs, client.connect(), late);
    // Nothing watches this connection yet.
    const { rows } = await scope.within(
      connectTimeoutMs,
      client.query<Backend>(
        `select pid, backend_start::text as "startedAt",
                (select count(set_config(name, '0', false)) from pg_settings where name in ('${limits.join("', '")}'))
           from pg_stat_activity where pid = pg_backend_pid()`,
      ),
      late,
    );
    // A pooler shares sessions and keeps them open after us. Session settings and the lease would be unreliable.
    const [backend] = rows;
    if (backend?.pid !== backendOf(client)) throw pooled(target, null);
    return { client, backend };
  } catch (error) {
    breakOff();
    // PgBouncer raises this for connection settings that it does not know.
    if (sqlStateOf(error) === '08P01') throw pooled(target, error);
    const login = { role: pg.escapeIdentifier(target.user.user), database: pg.escapeIdentifier(target.database) };
    const raised = fromPostgres(error, { what: connect, login });
    const isUnclear = raised.kind === 'internal' || (mode !== 'disable' && raised.kind === 'target-unreachable');
    const answer = isUnclear ? await askForTls(target.host, target.port) : 'unknown';
    if (answer === 'no-postgres')
      throw new TidegateError('target-unreachable', `target: ${connect} failed: the server there is not PostgreSQL`, {
        cause: error,
        hint: 'Check TARGET_DB_HOST and TARGET_DB_PORT: another service listens there.',
      });
    if (mode !== 'disable' && answer === 'no-tls')
      throw new TidegateError('target-tls', `target: ${connect} failed: the server offers no TLS`, {
        cause: error,
        hint: 'Turn on TLS there (ssl = on, ssl_cert_file, ssl_key_file). If a VPN or similar protects the connection, set TARGET_DB_TLS=disable instead.',
      });
    throw raised;
  } finally {
    scope.disown(opening);
  }
}

function pooled(target: TargetConfig, cause: unknown): TidegateError {
  const message = `target: a connection pooler answers at ${addressOf(target)} instead of PostgreSQL`;
  return new TidegateError('target-pooled', message, { cause });
}
