import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { fromPostgres, isRowRefusal, sqlStateOf } from './postgres-errors.ts';
import { TidegateError } from './tidegate-error.ts';

/** An error as the server sends it, with values in every field that can hold one. */
function fromServer(code: string) {
  const error = new pg.DatabaseError('Key (name)=(canary) already exists', 1, 'error');
  return fromPostgres(Object.assign(error, { code, detail: 'canary', where: 'COPY t, line 1: "canary"' }), {
    what: 'apply',
  });
}

describe('fromPostgres', () => {
  it.each([
    ['28P01', 'target-login', 'TARGET_DB_PASSWORD'],
    ['28000', 'target-login', 'pg_hba.conf'],
    ['3D000', 'target-login', 'TARGET_DB_NAME'],
    ['42501', 'target-privilege', 'tidegate check'],
    ['42P01', 'target-refused', 'refused'],
    ['2BP01', 'target-refused', 'depends'],
    ['23505', 'target-refused', 'refused'],
    ['25006', 'target-unreachable', 'standby'],
    ['40001', 'target-busy', 'another try'],
    ['53100', 'target-unreachable', 'disk'],
    ['53300', 'target-unreachable', 'max_connections'],
    ['57P03', 'target-unreachable', 'is starting'],
    ['XX001', 'internal', 'Report'],
  ])('SQLSTATE %s is %s', (state, kind, hint) => {
    const error = fromServer(state);
    expect(error.kind).toBe(kind);
    expect(error.hint).toContain(hint);
    expect(error.message).toBe(`target: apply failed: SQLSTATE ${state}`);
    expect(error.hint).not.toContain('canary');
  });

  it.each([
    [Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), 'target-unreachable'],
    // Five capitals, but not an SQLSTATE.
    [Object.assign(new Error('write'), { code: 'EPIPE' }), 'target-unreachable'],
    [new Error('Connection terminated unexpectedly'), 'target-unreachable'],
    [Object.assign(new Error('self-signed'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }), 'target-tls'],
    [Object.assign(new Error('name'), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }), 'target-tls'],
    [Object.assign(new Error('open'), { code: 'EMFILE', syscall: 'connect' }), 'target-unreachable'],
    [Object.assign(new Error('Cannot create a string'), { code: 'ERR_STRING_TOO_LONG' }), 'internal'],
    [Object.assign(new RangeError('of range'), { code: 'ERR_OUT_OF_RANGE' }), 'internal'],
    [new TypeError('a bug'), 'internal'],
    [undefined, 'internal'],
  ])('%s is %s', (error, kind) => {
    expect(fromPostgres(error, { what: 'connect' }).kind).toBe(kind);
  });
});

it('finds the SQLSTATE however often an error was wrapped', () => {
  const wrapped = new TidegateError('target-refused', 'in words', { cause: fromServer('54000').about('visit') });
  expect(sqlStateOf(wrapped)).toBe('54000');
  expect(isRowRefusal(wrapped)).toBe(true);
});
