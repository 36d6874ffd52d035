import type { ControlledTransaction } from 'kysely';
import type { ChangeBatch } from '../change/change-batch.ts';
import { failpoint } from '../errors/failpoint.ts';
import { fromPostgres } from '../errors/postgres-errors.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import type { TableCodec } from '../mapping/table-codec.ts';
import { moveCheckpoint } from './checkpoint.ts';
import type { ControlSchema } from './control-schema.ts';
import { recordConversions } from './conversions.ts';
import type { TargetSession } from './session.ts';
import { parkTable } from './table-states.ts';
import { TableWriter } from './table-writer.ts';

/**
 * Applies batches: rows, parked tables, conversions and checkpoint in one PostgreSQL transaction. A batch that ends inside a
 * source transaction leaves the PostgreSQL transaction open for the next one, so a source transaction of any size becomes
 * visible at once or not at all.
 */
export class Applier {
  readonly #session: TargetSession;
  readonly #schemaName: string;
  readonly #epoch: bigint;
  readonly #codecs: ReadonlyMap<string, TableCodec>;
  readonly #writers = new Map<string, TableWriter>();
  #open: ControlledTransaction<ControlSchema> | null = null;
  /** Tables parked by parts of the transaction that is open. */
  #parked = new Map<string, string>();

  constructor(session: TargetSession, schemaName: string, epoch: bigint, codecs: ReadonlyMap<string, TableCodec>) {
    this.#session = session;
    this.#schemaName = schemaName;
    this.#epoch = epoch;
    this.#codecs = codecs;
  }

  /** Returns once the batch is durable, or, for a part of a transaction, once it is written. */
  async apply(batch: ChangeBatch): Promise<void> {
    this.#open ??= await this.#session.begin();
    const trx = this.#open;
    for (const [table, changes] of batch.tables) {
      try {
        await this.#writer(table).write(trx, changes);
      } catch (error) {
        throw fromPostgres(error, { what: 'write' }).about(table);
      }
    }
    for (const [table, reason] of batch.parked) this.#parked.set(table, reason);
    if (batch.open) return;
    const parked = this.#parked;
    await this.#session.guarded(async () => {
      for (const [table, reason] of parked) await parkTable(trx, this.#schemaName, table, reason);
      await recordConversions(
        trx,
        this.#schemaName,
        [...batch.tables.keys()].map((table) => this.#codec(table)),
      );
      failpoint('batch-applied');
      if (batch.end !== null) await moveCheckpoint(trx, this.#schemaName, this.#epoch, batch.end);
      failpoint('checkpoint-written');
      await trx.commit().execute();
    });
    this.#open = null;
    // Whoever hears that this batch is durable hears of its parts as well.
    for (const [table, reason] of parked) batch.parked.set(table, reason);
    this.#parked = new Map();
    failpoint('committed');
  }

  #writer(table: string): TableWriter {
    let writer = this.#writers.get(table);
    if (writer === undefined) {
      this.#writers.set(
        table,
        (writer = new TableWriter(this.#session, this.#schemaName, this.#codec(table), this.#writers.size)),
      );
    }
    return writer;
  }

  #codec(table: string): TableCodec {
    const codec = this.#codecs.get(table);
    if (codec === undefined) throw new TidegateError('internal', `table ${table} has no schema version`);
    return codec;
  }
}
