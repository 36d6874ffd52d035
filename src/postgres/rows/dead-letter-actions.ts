import { sql } from 'kysely';
import { TableChanges } from '../../change/table-changes.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { type Confirmation, recordEvent } from '../control/events.ts';
import type { Fence } from '../control/fence.ts';
import type { JobCounts } from '../control/jobs.ts';
import { request } from '../control/requests.ts';
import type { Fenced } from '../control/writing.ts';
import type { WritingSession } from '../session.ts';
import { type SeenDeadLetter, microseconds } from '../control/dead-letter-list.ts';
import { readTables } from '../control/table-states.ts';
import { TableWriting, writeAlone } from './write-tables.ts';
import { TableWriter } from './table-writer.ts';

/** The most dead letters retried in one transaction, in rows and in bytes. The stream waits during such a transaction. */
const retryRows = 500;
const retryBytes = 8 * 1024 * 1024;

/**
 * Tries to write a table's dead letters again, for example after a constraint at the target was dropped. Returns how many were tried, written and
 * refused. Raises refused if the state or the columns of the table have changed.
 *
 * Invariant: an old image never overwrites a newer row or restores a deleted one. The stream's writes wait for a page, and a page
 * waits for its writes.
 */
export async function retryDeadLetters(
  fence: Fence,
  codec: TableCodec,
): Promise<Pick<JobCounts, 'rows' | 'repaired' | 'rejected'>> {
  const { session } = fence;
  const replica = session.targetSchema;
  const { table } = codec.schema;
  const writer = new TableWriter(replica, codec);
  let [rows, written] = [0, 0];
  for (let last = '0'; ;) {
    const page = await fence.transaction(
      async (trx) => {
        // A lock on the dead letters alone is not enough. A concurrent delete neither sees nor waits for a row that is being inserted.
        await sql`lock table ${sql.id(replica, table)} in share row exclusive mode`.execute(trx);
        await sql`set constraints all immediate`.execute(trx);
        await assertSame(trx, codec);
        const ids = await nextPage(trx, table, last);
        if (ids.length === 0) return { last: undefined, rows: 0, written: 0 };
        const deadLetters = await trx
          .selectFrom('dead_letters')
          .select(['id', 'key', 'row'])
          .where('id', 'in', ids)
          // Checked again under the lock: a later image that cannot be written may have replaced one.
          .where(isWritable)
          .orderBy('id')
          .forUpdate()
          .execute();
        const changes = new TableChanges(codec.schema);
        for (const { key, row } of deadLetters) {
          const start = changes.lines.length;
          changes.lines.plain(row, 0, row.length);
          changes.upsert('update', key.toString('latin1'), start);
        }
        const writing = new TableWriting(writer, changes);
        await writeAlone({ session, trx, schema: replica, isCareful: true }, writing, true);
        const refused = new Set(writing.unwritten.map(({ key }) => key));
        const done = deadLetters.filter(({ key }) => !refused.has(key.toString('latin1'))).map(({ id }) => id);
        if (done.length > 0) await trx.deleteFrom('dead_letters').where('id', 'in', done).execute();
        return { last: ids.at(-1), rows: deadLetters.length, written: done.length };
      },
      [table],
    );
    rows += page.rows;
    written += page.written;
    if (page.last === undefined) break;
    last = page.last;
  }
  await fence.transaction(async (trx) => await recordEvent(trx, 'dead-letters-retried', { table, written }));
  return { rows, repaired: written, rejected: rows - written };
}

/** The row is a COPY line, and it was not too large to be kept. */
const isWritable = sql<boolean>`format = 'copy' and length(row) > 0`;

async function nextPage(trx: Fenced, table: string, last: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from (
      select id, sum(length(row)) over (order by id) - length(row) as before from ${sql.table('dead_letters')}
       where table_name = ${table} and ${isWritable} and id > ${last}
       order by id limit ${retryRows}) page
     where before < ${retryBytes} order by id`.execute(trx);
  return rows.map(({ id }) => id);
}

async function assertSame(trx: Fenced, { source }: TableCodec): Promise<void> {
  const known = (await readTables(trx)).find(({ table }) => table === source.table);
  if (known?.state === 'streaming' && JSON.stringify(known.schema) === JSON.stringify(source)) return;
  throw new TidegateError(
    'refused',
    `table ${source.table} has changed: it is ${known?.state ?? 'gone'} now, or it has other columns`,
    {
      hint: 'Try again when the table is streaming.',
    },
  );
}

/**
 * Deletes these dead letters. Their rows stay missing or outdated at the target until the source changes them. Returns how many were
 * still there.
 */
export async function discardDeadLetters(
  session: WritingSession,
  seen: readonly SeenDeadLetter[],
  confirmed: Confirmation,
): Promise<number> {
  const tables = [...new Set(seen.map(({ table }) => table))];
  return await request(session, async (trx) => {
    const { numAffectedRows } = await sql`delete from ${sql.table('dead_letters')}
      using unnest(${seen.map(({ id }) => id)}::bigint[], ${seen.map(({ writtenAt }) => writtenAt)}::bigint[]) as seen(seen_id, written_at)
      where id = seen_id and ${microseconds} = written_at`.execute(trx);
    const rows = Number(numAffectedRows ?? 0);
    await recordEvent(trx, 'dead-letters-discarded', { tables, rows, confirmed });
    return rows;
  });
}
