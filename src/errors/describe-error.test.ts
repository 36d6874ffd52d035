import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { createLog } from '../monitoring/log.ts';
import { describeError } from './describe-error.ts';
import { fromPostgres } from './postgres-errors.ts';
import { TidegateError } from './tidegate-error.ts';

/** What drivers do with values: each of these stands in a property that must not be told. */
function gossip(): Error {
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
  it('tells of a foreign error its class, its code and where it arose', () => {
    const described = describeError(gossip());
    expect(described).toMatchObject({ kind: 'internal', message: 'unexpected DatabaseError', code: '22P02' });
    expect(described.stack).toContain('describe-error.test.ts');
    expect(JSON.stringify(described)).not.toContain('canary');
  });

  it('tells of an error of ours what it says, and the code beneath', () => {
    const described = describeError(new TidegateError('target-refused', 'table t was refused', { cause: gossip() }));
    expect(described).toMatchObject({ kind: 'target-refused', message: 'table t was refused', code: '22P02' });
    expect(described.stack).toBeUndefined();
    expect(JSON.stringify(described)).not.toContain('canary');
  });

  it('tells where a mistake arose, also beneath what wrapped it', () => {
    const mistake = new TypeError("cannot read 'canary'");
    const described = describeError(fromPostgres(mistake, { what: 'apply' }));
    expect(described.kind).toBe('internal');
    expect(described.stack).toContain('describe-error.test.ts');
    expect(described.stack).not.toContain('canary');
  });

  it('does not take lines of a message for frames', () => {
    const note = "value 'seen\n    at canary street\n' is too long";
    expect(describeError(new Error(note)).stack).toMatch(/^\s+at .*describe-error\.test\.ts/);
    expect(describeError(new Error(note)).stack).not.toContain('canary');
    // A stack is written when it is first read; here it keeps the old message, and nothing tells where that ends.
    const changed = new Error(note);
    expect(changed.stack).toContain(note);
    for (const message of ['another', 'test.ts', 'canary']) {
      changed.message = message;
      expect(describeError(changed).stack).toBe('');
    }
  });

  it.each(['canary', null, undefined, 7, { code: 'not a code: canary' }])('says nothing of a thrown %j', (thrown) => {
    expect(JSON.stringify(describeError(thrown))).not.toContain('canary');
  });
});

describe('the log', () => {
  it('describes errors instead of dumping them', async () => {
    const written: string[] = [];
    const log = createLog('info', { stream: { write: (line) => written.push(line) } });
    log.error({ err: gossip() }, 'failed');
    log.error({ err: new TidegateError('target-refused', 'table t', { cause: gossip() }) }, 'failed');
    log.debug('not this');
    const lines = written.map((line) => JSON.parse(line) as { level: string; err: { code: string } });
    expect(lines.map(({ level, err }) => [level, err.code])).toEqual([
      ['error', '22P02'],
      ['error', '22P02'],
    ]);
    expect(written.join('')).not.toContain('canary');
  });
});
