import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sql } from 'kysely';
import { sharedServers } from '../../support/shared-servers.ts';
import { checkLines } from '../../../src/postgres/rows/line-check.ts';
import { WritingSession } from '../../../src/postgres/session.ts';
import {
  type RunToWrite,
  type WriteRuns,
  inSavepoint,
  outcomesOf,
  writeIsolating,
} from '../../../src/postgres/rows/isolate-rows.ts';
import type { Statement } from '../../../src/postgres/wire/pipeline.ts';
import { Scope } from '../../../src/lifetime/scope.ts';

const column = {
  type: 'text',
  fullType: 'text',
  nullable: true,
  charset: null,
  length: null,
  precision: null,
  scale: null,
  fraction: 0,
};
/** A name with digits, so that they are not mistaken for a line number. */
const schema = {
  table: 'rows_12_34',
  columns: [
    { ...column, name: 'id' },
    { ...column, name: 'note' },
  ],
  primaryKey: [0],
};

describe('writeIsolating', () => {
  let session: WritingSession;

  /** Writes each run with the statements that `of` makes. */
  const runsOf = (of: (run: RunToWrite) => readonly Statement[]): WriteRuns => {
    return async (runs) =>
      outcomesOf(runs, await session.pipeline(runs.map((run) => inSavepoint(of(run)))), () => undefined);
  };

  beforeAll(async () => {
    const { host, port, user, password } = sharedServers().target;
    session = await WritingSession.open(new Scope(), {
      host,
      port,
      database: 'postgres',
      schema: 'public',
      user: { user, password },
      tls: { mode: 'disable', ca: undefined },
    });
    await sql
      .raw(
        `create temporary table rows_12_34 (id int primary key, note text check (note <> 'bad')); create temporary table staged (id int, note text)`,
      )
      .execute(session.db);
  });

  afterAll(async () => {
    await session?.close();
  });

  it.each([
    ['copy, which names a line', [''], true],
    ['copy, all rows first', [''], false],
    ['copy of an unknown relation', ['another'], true],
    ['a merge, which names none', [''], true],
  ] as const)('rejects exactly the refused rows at any position, by %s', async (way, [relation], isSuspected) => {
    const write = runsOf(({ lines }) =>
      way.startsWith('a merge')
        ? [
            { text: 'copy staged from stdin', lines },
            { text: 'with line as (delete from staged returning *) insert into rows_12_34 select * from line' },
          ]
        : [{ text: 'copy rows_12_34 (id, note) from stdin', lines }],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 700 }), async (bad) => {
        const lines = Buffer.from(bad.map((isBad, id) => `${id}\t${isBad ? 'bad' : 'good'}\n`).join(''));
        const trx = await session.begin();
        const rejected = await writeIsolating(trx, lines, schema, write, {
          relations: [relation === '' ? 'rows_12_34' : relation],
          isSuspected,
        });
        const { rows } = await sql<{ id: number }>`select id from rows_12_34 order by id`.execute(trx);
        await trx.rollback().execute();
        expect(rows.map(({ id }) => id)).toEqual(bad.flatMap((isBad, id) => (isBad ? [] : [id])));
        expect(rejected.map(({ key }) => Number(key)).toSorted((a, b) => a - b)).toEqual(
          bad.flatMap((isBad, id) => (isBad ? [id] : [])),
        );
        expect(rejected.every(({ sqlState }) => sqlState === '23514')).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  it('rejects a row whose parent was rejected, and no row whose parent COPY accepted', async () => {
    const trx = await session.begin();
    await sql
      .raw(
        `create temporary table tree (id int primary key, parent int references tree, note text check (note <> 'bad'))`,
      )
      .execute(trx);
    const write = runsOf(({ lines }) => [{ text: 'copy tree from stdin', lines }]);
    const lines = ['1\t\\N\tgood', '2\t1\tbad', '3\t1\tgood', '4\t3\tgood', '5\t2\tgood', '6\t4\tbad'];
    const rejected = await writeIsolating(
      trx,
      Buffer.from(`${lines.join('\n')}\n`),
      { ...schema, table: 'tree' },
      write,
      {
        relations: ['tree'],
        isSuspected: true,
      },
    );
    const { rows } = await sql<{ id: number }>`select id from tree order by id`.execute(trx);
    await trx.rollback().execute();
    expect(rows.map(({ id }) => id)).toEqual([1, 3, 4]);
    expect(Object.fromEntries(rejected.map(({ key, sqlState }) => [key, sqlState]))).toEqual({
      2: '23514',
      5: '23503',
      6: '23514',
    });
  });

  it('throws an error that does not refuse a row, and the session continues', async () => {
    const trx = await session.begin();
    const writing = writeIsolating(
      trx,
      Buffer.from('1\tgood\n2\tgood\n'),
      schema,
      runsOf(({ lines }) => [{ text: 'copy not_there from stdin', lines }]),
      { relations: [], isSuspected: true },
    );
    await expect(writing).rejects.toMatchObject({ kind: 'target-refused', cause: { code: '42P01' } });
    await trx.rollback().execute();
    expect((await sql<{ one: number }>`select 1 as one`.execute(session.db)).rows).toEqual([{ one: 1 }]);
  });
});

it('checkLines removes exactly the lines that are not UTF-8, and names the column', () => {
  const field = fc
    .uint8Array({ maxLength: 6 })
    .map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 9 && byte !== 10)));
  fc.assert(
    fc.property(fc.array(fc.tuple(field, field), { maxLength: 30 }), (rows) => {
      const all = rows.map(([id, note]) => Buffer.concat([id, Buffer.from('\t'), note, Buffer.from('\n')]));
      const { lines, rejected } = checkLines(Buffer.concat(all), schema);
      expect(lines).toEqual(Buffer.concat(all.filter((line) => isUtf8(line))));
      const bad = rows.filter(([id, note]) => !isUtf8(id) || !isUtf8(note));
      expect(rejected.map(({ row, column: name }) => [row.toString('hex'), name])).toEqual(
        bad.map(([id, note]) => [
          Buffer.concat([id, Buffer.from('\t'), note, Buffer.from('\n')]).toString('hex'),
          isUtf8(id) ? 'note' : 'id',
        ]),
      );
    }),
  );
});
