import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { createLog } from '../monitoring/log.ts';
import { describeError } from './describe-error.ts';
import { fromPostgres } from './postgres-errors.ts';
import { TidegateError } from './tidegate-error.ts';

/** An error as drivers raise it: each property holds a value that must not reach a log. */
function leakyError(): Error {
  const error = new pg.DatabaseError("value 'canary' is wrong", 1, 'error');
  return Object.assign(error, {
    code: '22P02',
    detail: 'Key (name)=(canary)',
    where: 'COPY t, line 1: "canary"',
    internalQuery: "select 'canary'",
    sql: "select 'canary'",
    sqlMessage: 'canary',
  });
}

describe('describeError', () => {
  it('reports the class, the code and the origin of a foreign error', () => {
    const described = describeError(leakyError());
    expect(described).toMatchObject({ kind: 'internal', message: 'unexpected DatabaseError', code: '22P02' });
    expect(described.stack).toContain('describe-error.test.ts');
    expect(JSON.stringify(described)).not.toContain('canary');
  });

  it('reports the message of a TidegateError and the code of its cause', () => {
    const described = describeError(
      new TidegateError('target-refused', 'table t was refused', { cause: leakyError() }),
    );
    expect(described).toMatchObject({ kind: 'target-refused', message: 'table t was refused', code: '22P02' });
    expect(described.stack).toBeUndefined();
    expect(JSON.stringify(described)).not.toContain('canary');
  });

  it('reports where a bug arose, also beneath the error that wraps it', () => {
    const mistake = new TypeError("cannot read 'canary'");
    const described = describeError(fromPostgres(mistake, { what: 'apply' }));
    expect(described.kind).toBe('internal');
    expect(described.stack).toContain('describe-error.test.ts');
    expect(described.stack).not.toContain('canary');
  });

  it('does not mistake lines of a message for frames', () => {
    const note = "value 'seen\n    at canary street\n' is too long";
    expect(describeError(new Error(note)).stack).toMatch(/^\s+at .*describe-error\.test\.ts/);
    expect(describeError(new Error(note)).stack).not.toContain('canary');
    // V8 formats a stack when it is first read. Here it keeps the old message, so the end of the message is unknown.
    const changed = new Error(note);
    expect(changed.stack).toContain(note);
    for (const message of ['another', 'test.ts', 'canary']) {
      changed.message = message;
      expect(describeError(changed).stack).toBe('');
    }
  });

  it.each(['canary', null, undefined, 7, { code: 'not a code: canary' }])(
    'reports nothing of a thrown %j',
    (thrown) => {
      expect(JSON.stringify(describeError(thrown))).not.toContain('canary');
    },
  );
});

describe('the log', () => {
  it('describes errors instead of dumping them', async () => {
    const written: string[] = [];
    const log = createLog('info', { stream: { write: (line) => written.push(line) } });
    log.error({ err: leakyError() }, 'failed');
    log.error({ err: new TidegateError('target-refused', 'table t', { cause: leakyError() }) }, 'failed');
    log.debug('not this');
    const lines = written.map((line) => JSON.parse(line) as { level: string; err: { code: string } });
    expect(lines.map(({ level, err }) => [level, err.code])).toEqual([
      ['error', '22P02'],
      ['error', '22P02'],
    ]);
    expect(written.join('')).not.toContain('canary');
  });
});
