import { describe, expect, it } from 'vitest';
import { describeError } from './describe-error.ts';
import { fromMysql } from './mysql-errors.ts';
import { TidegateError } from './tidegate-error.ts';

const raised = (properties: object) =>
  fromMysql(Object.assign(new Error("Duplicate entry 'canary'"), { sql: "select 'canary'" }, properties), {
    what: 'connect',
    role: 'replicator',
  });

describe('fromMysql', () => {
  it.each([
    [{ errno: 1045, code: 'ER_ACCESS_DENIED_ERROR' }, 'source-login', 'SOURCE_DB_REPLICATION_PASSWORD'],
    [{ errno: 1049, code: 'ER_BAD_DB_ERROR' }, 'source-privilege', 'SOURCE_DB_NAME'],
    [{ errno: 1251, code: 'ER_NOT_SUPPORTED_AUTH_MODE' }, 'source-login', 'caching_sha2_password'],
    [{ code: 'AUTH_SWITCH_PLUGIN_ERROR' }, 'source-login', 'caching_sha2_password'],
    [{ errno: 1862, code: 'ER_MUST_CHANGE_PASSWORD_LOGIN' }, 'source-login', 'expired'],
    [{ errno: 3118, code: 'ER_ACCOUNT_HAS_BEEN_LOCKED' }, 'source-login', 'account unlock;'],
    [{ errno: 4150 }, 'source-login', 'flush privileges;'],
    [{ errno: 3159, code: 'ER_SECURE_TRANSPORT_REQUIRED' }, 'source-tls', 'SOURCE_DB_TLS'],
    [{ code: 'HANDSHAKE_NO_SSL_SUPPORT' }, 'source-tls', 'SOURCE_DB_TLS=disable'],
    [{ code: 'HANDSHAKE_SSL_ERROR' }, 'source-tls', 'SOURCE_DB_TLS_CA'],
    [{ code: 'SELF_SIGNED_CERT_IN_CHAIN' }, 'source-tls', 'SOURCE_DB_TLS_CA'],
    [{ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }, 'source-tls', 'SOURCE_DB_TLS=verify-ca'],
    [{ code: 'CERT_HAS_EXPIRED' }, 'source-tls', 'has expired'],
    [{ code: 'HANDSHAKE_SSL_ERROR', library: 'SSL routines' }, 'source-tls', 'TLS 1.2'],
    [{ code: 'HANDSHAKE_SSL_ERROR', errno: -104, syscall: 'read' }, 'source-unreachable', 'SOURCE_DB_HOST'],
    [{ errno: -111, code: 'ECONNREFUSED', syscall: 'connect' }, 'source-unreachable', 'SOURCE_DB_PORT'],
    [{ code: 'ENOTFOUND', syscall: 'getaddrinfo' }, 'source-unreachable', 'No address is known for this name'],
    [{ code: 'ETIMEDOUT', syscall: 'connect' }, 'source-unreachable', 'firewall'],
    [{ errno: 1040, code: 'ER_CON_COUNT_ERROR' }, 'source-unreachable', 'max_connections'],
    [{ errno: 1203, code: 'ER_TOO_MANY_USER_CONNECTIONS' }, 'source-unreachable', 'max_user_connections'],
    [{ errno: 1129, code: 'ER_HOST_IS_BLOCKED' }, 'source-login', 'max_connect_errors'],
    [{ errno: 1184, code: 'ER_NEW_ABORTING_CONNECTION' }, 'source-settings', 'init_connect'],
    [{ errno: 1236, code: 'ER_SOURCE_FATAL_ERROR_READING_BINLOG' }, 'binlog-unreadable', 'SOURCE_SERVER_ID'],
    [{ errno: 4052, code: 'ER_INVALID_MFA_PLUGIN_SPECIFIED' }, 'server-id-taken', 'SOURCE_SERVER_ID'],
    [{ errno: 1381, code: 'ER_NO_BINARY_LOGGING' }, 'source-settings', 'check'],
    [{ errno: 1213, code: 'ER_LOCK_DEADLOCK' }, 'source-busy', 'again'],
    [{ errno: 1176, code: 'ER_KEY_DOES_NOT_EXITS' }, 'source-table', 'definition changed'],
    [{ errno: 1146, code: 'ER_NO_SUCH_TABLE' }, 'source-table', 'definition changed'],
    [{ errno: 1194, code: 'ER_CRASHED_ON_USAGE' }, 'source-table', 'repair table'],
    [{ errno: 1195, code: 'ER_CRASHED_ON_REPAIR' }, 'source-table', 'repair table'],
    [{ errno: 126, code: 'HA_ERR_CRASHED' }, 'source-table', 'repair table'],
    [{ errno: 1032, code: 'ER_KEY_NOT_FOUND' }, 'source-table', 'repair table'],
    [{ errno: 1030, code: 'ER_GET_ERRNO' }, 'source-table', 'number'],
    [{ errno: 144, code: 'HA_ERR_CRASHED_ON_REPAIR' }, 'source-table', 'repair table'],
    [{ errno: 1812, code: 'ER_TABLESPACE_MISSING' }, 'source-table', 'restore'],
    [{ errno: 1064, code: 'ER_PARSE_ERROR' }, 'source-statement', 'Report'],
    [{ fatal: true }, 'source-unreachable', 'SOURCE_DB_HOST'],
    [{ errno: 4_000_000, code: 'ER_OF_TOMORROW' }, 'internal', 'Report'],
    [{}, 'internal', 'Report'],
  ])('%j is %s', (properties, kind, hint) => {
    const error = raised(properties);
    expect(error.kind).toBe(kind);
    expect(error.hint).toContain(hint);
  });

  it('takes whatever the server says about a table that is read for an error of that table alone', () => {
    const error = fromMysql({ errno: 4_000_000 }, { what: 'read table visit', role: 'reader', table: '`a`.`visit`' });
    expect(error.kind).toBe('source-table');
    expect(error.hint).toContain('repair table `a`.`visit`;');
  });

  it('needs an operator when in doubt, and retries only what a fresh connection may resolve', () => {
    expect(raised({ code: 'ECONNRESET' }).action).toBe('retry');
    expect(raised({ errno: 1040 }).action).toBe('retry');
    for (const properties of [{ errno: 1045 }, { code: 'HANDSHAKE_NO_SSL_SUPPORT' }, { errno: 1 }, {}])
      expect(raised(properties).action).toBe('operator');
  });

  it("names role, errno and code, and repeats nothing from the driver's text", () => {
    const error = raised({ errno: 1062, code: 'ER_DUP_ENTRY' });
    expect(error.message).toBe('source (replicator): connect failed: ER_DUP_ENTRY (errno 1062)');
    expect(error.hint).not.toContain('canary');
  });

  it('does not repeat the MySQL name of a number that may mean something else on MariaDB', () => {
    const taken = raised({ errno: 4052, code: 'ER_INVALID_MFA_PLUGIN_SPECIFIED' });
    expect(taken.message).toBe('source (replicator): connect failed: errno 4052');
    expect(describeError(taken).code).toBe('4052');
  });

  it('leaves errors of our own as they are', () => {
    const own = new TidegateError('lease-lost', 'gone');
    expect(fromMysql(own, { what: 'query', role: 'reader' })).toBe(own);
  });
});
