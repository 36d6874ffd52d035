import { sql } from 'kysely';
import { ChangeBatch } from '../../change/change-batch.ts';
import type { Position } from '../../change/position.ts';
import type { RejectedRow } from '../../change/rejected-row.ts';
import type { TableChanges } from '../../change/table-changes.ts';
import { failpoint } from '../../lifetime/failpoint.ts';
import { isRowRefusal } from '../../errors/postgres-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { moveCheckpoint } from '../control/checkpoint.ts';
import { recordConversions } from '../control/conversions.ts';
import type { Fence, FencedTransaction } from '../control/fence.ts';
import { requestRepair } from '../control/requests.ts';
import type { Fenced } from '../control/writing.ts';
import { DeadLetters, badRow } from './dead-letters.ts';
import { suspendTable } from '../control/table-states.ts';
import { TableWriting, aboutTable, assertDeleted, writeAlone, writeTogether } from './write-tables.ts';
import { limitLockWaits } from './lock-timeout.ts';
import { TableWriter } from './table-writer.ts';

export interface ApplierOptions {
  readonly schema: string;
  readonly codecs: ReadonlyMap<string, TableCodec>;
  /** The position of the target at the start. */
  readonly start: Position;
  /** Whether a bad row of this table stops everything. */
  readonly isHalting: (table: string) => boolean;
}

/**
 * Applies batches: rows, dead letters, suspended tables, conversions and checkpoint in one PostgreSQL transaction. A batch that ends
 * inside a source transaction keeps the PostgreSQL transaction open for the next batch.
 *
 * Invariant: a source transaction of any size becomes visible at once or not at all.
 */
export class Applier {
  readonly #fence: Fence;
  readonly #options: ApplierOptions;
  readonly #writers = new Map<string, TableWriter>();
  /** Loaded again after the rollback of a transaction that changed dead letters. */
  #deadLetters: DeadLetters;
  #deadLettersChanged = false;
  #open: FencedTransaction | null = null;
  /** What the present batch has written can be undone without more. */
  #isUndoable = false;
  /** The position at the end of the last batch. */
  #at: Position;
  /** Suspended tables with their reasons, and numbers of rejected rows, from all parts of the open transaction. */
  #suspended = new Map<string, string>();
  #rejected = new Map<string, number>();
  /** Tables that the open transaction has written. */
  readonly #written = new Set<string>();
  /** Tables with rows that PostgreSQL refused in their last batch. */
  readonly #suspected = new Set<string>();

  private constructor(fence: Fence, options: ApplierOptions, deadLetters: DeadLetters) {
    this.#fence = fence;
    this.#options = options;
    this.#at = options.start;
    this.#deadLetters = deadLetters;
  }

  static async start(fence: Fence, options: ApplierOptions): Promise<Applier> {
    const { db } = fence.session;
    await limitLockWaits(db);
    // A statement is prepared for each table, and values do not change its plan. By default PostgreSQL would plan its first five uses.
    await sql`set plan_cache_mode = force_generic_plan`.execute(db);
    return new Applier(fence, options, await DeadLetters.load(db));
  }

  /**
   * Returns when a complete batch is durable, or when a part of a transaction is written. If PostgreSQL refuses a row, what this batch has
   * written is undone, and it is written again with refused rows isolated. Later batches of that table isolate rows, too, as long as
   * PostgreSQL refuses some. A part is undone up to a savepoint, because the earlier parts cannot be written again.
   */
  async apply(batch: ChangeBatch): Promise<void> {
    if (batch.isCutOff && this.#open !== null) await this.#rollBack(this.#open);
    const isPart = batch.open || this.#open !== null;
    try {
      await this.#write(batch, isPart, false);
    } catch (error) {
      if (!isRowRefusal(error) || !(await this.#undo(isPart))) throw error;
      await this.#write(batch, isPart, true);
    }
  }

  /**
   * Writes changes that do not come from the stream, between two batches of the stream. The checkpoint does not move. Returns how many
   * rows PostgreSQL refused.
   */
  async merge(changes: TableChanges): Promise<number> {
    if (this.#open !== null) throw new TidegateError('internal', 'a transaction of the stream is open');
    const batch = new ChangeBatch();
    batch.tables.set(changes.schema.table, changes);
    await this.apply(batch);
    return (batch.rejected.get(changes.schema.table) ?? 0) - changes.rejectedCount;
  }

  /** `isCareful`: PostgreSQL has just refused a row of this batch. */
  async #write(batch: ChangeBatch, isPart: boolean, isCareful: boolean): Promise<void> {
    const isFirst = this.#open === null;
    this.#open ??= await this.#fence.begin();
    const { trx } = this.#open;
    // A deferred constraint fails at the commit. It cannot name the row, and the parts before it cannot be written again.
    const isExact = isCareful || isPart || [...batch.tables.keys()].some((table) => this.#suspected.has(table));
    if (isFirst && isExact) await sql`set constraints all immediate`.execute(trx);
    if (isPart && !isCareful) await sql`savepoint part`.execute(trx);
    this.#isUndoable = true;
    const unwritten = await this.#tables(trx, batch, isCareful);
    for (const [table, changes] of batch.tables) {
      this.#written.add(table);
      try {
        const rejected = this.#judged(changes, unwritten.get(table) ?? []);
        this.#deadLettersChanged = true;
        await this.#deadLetters.keep(trx, changes, rejected, this.#at);
        if (rejected.size > 0) this.#rejected.set(table, rejected.size + (this.#rejected.get(table) ?? 0));
      } catch (error) {
        throw aboutTable(table, error);
      }
    }
    await recordConversions(
      trx,
      [...batch.tables].map(([table, { conversions }]) => [table, conversions.values()] as const),
    );
    if (isPart) await sql`release savepoint part`.execute(trx);
    if (isPart) this.#isUndoable = false;
    for (const [table, reason] of batch.suspended) this.#suspended.set(table, reason);
    if (!batch.open) await this.#commit(batch, this.#open);
  }

  /** Writes the rows of all tables. Returns those that cannot be written, by table. */
  async #tables(
    trx: Fenced,
    { tables }: ChangeBatch,
    isCareful: boolean,
  ): Promise<ReadonlyMap<string, readonly RejectedRow[]>> {
    const writing = [...tables.values()].map(
      (changes) => new TableWriting(this.#writer(changes.schema.table), changes),
    );
    const { schema } = this.#options;
    const isSuspected = ({ table }: TableWriting) => this.#suspected.has(table);
    const target = { session: this.#fence.session, trx, schema, isCareful };
    await writeTogether(
      target,
      writing.filter((one) => !isSuspected(one)),
    );
    for (const one of writing.filter(isSuspected)) await writeAlone(target, one, true);
    await assertDeleted(target, writing);
    for (const { table, unwritten } of writing) {
      if (unwritten.every(({ sqlState }) => sqlState === null)) this.#suspected.delete(table);
      else this.#suspected.add(table);
    }
    return new Map(writing.map(({ table, unwritten }) => [table, unwritten]));
  }

  /** Returns the rows of a table that become dead letters. Raises bad-row for a table of TABLES_HALT. */
  #judged({ schema, rejected }: TableChanges, unwritten: readonly RejectedRow[]): ReadonlyMap<string, RejectedRow> {
    const rows = new Map([...unwritten, ...rejected].map((row) => [row.key, row] as const));
    const [first] = rows.values();
    if (first !== undefined && this.#options.isHalting(schema.table)) throw badRow(schema.table, first, this.#at);
    return rows;
  }

  async #commit(batch: ChangeBatch, open: FencedTransaction): Promise<void> {
    await open.commit([...this.#written], async () => {
      for (const [table, reason] of this.#suspended) await suspendTable(open.trx, table, reason);
      for (const table of batch.doubtful) await requestRepair(open.trx, table);
      failpoint('batch-applied');
      if (batch.end !== null) await moveCheckpoint(open.trx, batch.end);
      failpoint('checkpoint-written');
    });
    this.#open = null;
    this.#written.clear();
    this.#deadLettersChanged = false;
    if (batch.end !== null) this.#at = batch.end.position;
    // The report of a durable batch includes its earlier parts.
    for (const [table, reason] of this.#suspended) batch.suspended.set(table, reason);
    for (const [table, rows] of this.#rejected) batch.rejected.set(table, rows);
    this.#suspended = new Map();
    this.#rejected = new Map();
    failpoint('committed');
  }

  /** Undoes what this batch has written. Returns false if it cannot be undone without the earlier parts of its transaction. */
  async #undo(isPart: boolean): Promise<boolean> {
    const open = this.#open;
    if (open === null || !this.#isUndoable) return false;
    if (!isPart) await this.#rollBack(open);
    else {
      await sql`rollback to savepoint part`.execute(open.trx);
      if (this.#deadLettersChanged) this.#deadLetters = await DeadLetters.load(open.trx);
    }
    return true;
  }

  async #rollBack(open: FencedTransaction): Promise<void> {
    await open.rollback();
    if (this.#deadLettersChanged) this.#deadLetters = await DeadLetters.load(this.#fence.session.db);
    this.#open = null;
    this.#written.clear();
    this.#suspended = new Map();
    this.#rejected = new Map();
  }

  #writer(table: string): TableWriter {
    let writer = this.#writers.get(table);
    if (writer === undefined) {
      const { schema, codecs } = this.#options;
      const codec = codecs.get(table);
      if (codec === undefined) throw new TidegateError('internal', `table ${table} has no schema version`);
      this.#writers.set(table, (writer = new TableWriter(schema, codec)));
    }
    return writer;
  }
}
