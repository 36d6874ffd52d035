import { setTimeout as sleep } from 'node:timers/promises';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { type SourceServer, type TargetServer, restart } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { Streaming } from '../../pipeline/stream/support/streaming.ts';

/**
 * Who repairs the table, and myisam_recover_options. `nobody` has the server's default, which looks at the index only: the table can be
 * read, and a scan gives other rows than the primary key.
 */
export const repairs = { 'by hand': 'OFF', 'at start': 'FORCE,BACKUP', nobody: 'BACKUP,QUICK' } as const;
export type Repair = keyof typeof repairs;

/** What happened when the source died in the midst of a MyISAM statement. */
export interface Torn {
  readonly verb: string;
  /** Rows that the repaired table has. */
  readonly rows: number;
  /** The source could not read the table before it was repaired. */
  readonly isMarked: boolean;
  /** A scan and the primary key gave different rows before it was repaired. */
  readonly isTwofold: boolean;
  readonly wrong: readonly string[];
}

const rowsOfStatement = 100_000;
const looksMs = 500;
/** On a busy machine, all that is waited for takes many times as long. */
const limitMs = 300_000;

/** A source that is killed in MyISAM statements. */
export class TornSource {
  readonly #source: SourceServer;
  readonly #streaming: Streaming;
  readonly #random: SeededRandom;
  readonly #repair: Repair;
  #id = 0;

  private constructor(source: SourceServer, streaming: Streaming, random: SeededRandom, repair: Repair) {
    this.#source = source;
    this.#streaming = streaming;
    this.#random = random;
    this.#repair = repair;
  }

  static async start(target: TargetServer, random: SeededRandom, repair: Repair): Promise<TornSource> {
    const recover = `--myisam-recover-options=${repairs[repair]}`;
    const source = await startSource({ flavor: 'mariadb', args: [recover], asProcess: true });
    const streaming = await Streaming.start(
      async (admin) => {
        await admin.query(
          'create table torn (id int not null primary key, word varchar(40), key (word)) engine=MyISAM',
        );
      },
      { source, target },
    );
    return new TornSource(source, streaming, random, repair);
  }

  async end(): Promise<void> {
    await this.#streaming.end();
    await this.#source.stop();
  }

  /**
   * Kills the source in a statement. The target must become equal by itself: to what the source returns by the primary key, and to the
   * whole table once it was repaired. While the source cannot read the table, it must be suspended.
   */
  async next(): Promise<Torn> {
    const streaming = this.#streaming;
    const random = this.#random;
    await streaming.source.query('truncate table torn');
    await streaming.source.query(`insert into torn select seq, 'kept' from seq_1_to_1000`);
    await streaming.caughtUp();
    const verb = random.pick(['insert', 'update', 'delete'] as const);
    if (verb !== 'insert') {
      await streaming.source.query(`insert into torn select seq, 'kept' from seq_1001_to_${rowsOfStatement}`);
      await streaming.caughtUp();
    }
    const statement = {
      insert: `insert into torn select seq, concat('word ', seq) from seq_1001_to_${rowsOfStatement}`,
      update: `update torn set word = concat('word ', id, ' ${++this.#id}')`,
      // More than a tenth of the table would rightly wait for a person.
      delete: 'delete from torn where id % 20 = 0',
    }[verb];
    const writing = streaming.source.query(statement).catch(() => undefined);
    await sleep(random.int(5, 250));
    await restart(this.#source, 'SIGKILL');
    await writing;
    await streaming.reconnectSource();
    if (this.#repair === 'by hand') await streaming.source.query('repair table torn');
    const unrepaired = this.#repair === 'by hand' ? null : await this.#settled(true);
    const isTwofold =
      unrepaired !== null && !unrepaired.isMarked && (await differences(streaming, false))?.length !== 0;
    // A server that repairs at its start repairs what it takes for damaged.
    if (this.#repair === 'nobody' || isTwofold) await streaming.source.query('repair table torn');
    const repaired = await this.#settled(false);
    const [[count]] = (await streaming.source.query('select count(*) as n from torn')) as unknown as [[{ n: number }]];
    return {
      verb,
      rows: count.n,
      isMarked: unrepaired?.isMarked === true,
      isTwofold,
      wrong: [...(unrepaired?.wrong ?? []), ...repaired.wrong],
    };
  }

  /** Waits until the target is equal; by key also until it is suspended because the source cannot read it. Nobody confirms anything. */
  async #settled(byKey: boolean): Promise<Pick<Torn, 'isMarked' | 'wrong'>> {
    const streaming = this.#streaming;
    await streaming.caughtUp(limitMs);
    let found: readonly string[] | null = [];
    for (const deadline = Date.now() + limitMs; Date.now() < deadline; await sleep(looksMs)) {
      found = await differences(streaming, byKey);
      if (found === null) {
        const { state, reason } = await streaming.tableState('torn');
        if (byKey && state === 'suspended' && reason?.includes('repair table') === true)
          return { isMarked: true, wrong: [] };
      } else if (found.length === 0 && (await streaming.tableState('torn')).state === 'streaming')
        return { isMarked: false, wrong: [] };
      // A suspended table need not wait for its pause.
      await streaming.target.query('update tidegate_raw.tables set retry_at = now() where retry_at is not null');
    }
    const { state, reason } = await streaming.tableState('torn');
    const jobs = await streaming.rows(
      `select kind || ' ' || state || ': ' || coalesce(reason, '') from tidegate_raw.jobs where table_name = 'torn' order by id desc limit 3`,
    );
    return {
      isMarked: found === null,
      wrong: [...(found ?? ['the source cannot read it']), `it is ${state}: ${reason}`, ...jobs.flat().map(String)],
    };
  }
}

/** Numbers of errors that say that a MyISAM table is damaged. */
const damaged: ReadonlySet<unknown> = new Set([126, 127, 144, 145, 1030, 1032, 1034, 1194, 1195]);

/** How the tables differ; null: the source cannot read one. */
async function differences(streaming: Streaming, byKey: boolean): Promise<readonly string[] | null> {
  try {
    return await streaming.differences(byKey);
  } catch (error) {
    if (error instanceof Error && 'errno' in error && damaged.has(error.errno)) return null;
    throw error;
  }
}
