import { setTimeout as sleep } from 'node:timers/promises';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { type SourceServer, type TargetServer, restart } from '../../../testing/servers/server.ts';
import { startSource } from '../../../testing/servers/source.ts';
import { runCli } from '../../support/cli.ts';
import { Streaming } from '../../pipeline/stream/support/streaming.ts';

/**
 * Who repairs the table, and myisam_recover_options. Without any repair, two ways to read such a table give different rows, so even `nobody`
 * leaves the server its default.
 */
export const repairs = { 'by hand': 'OFF', 'at start': 'FORCE,BACKUP', nobody: 'BACKUP,QUICK' } as const;
export type Repair = keyof typeof repairs;

/** What happened when the source died in the midst of a MyISAM statement. */
export interface Torn {
  /** Rows that the statement left at the source. */
  readonly rows: number;
  /** The table was marked as crashed, so somebody had to repair it. */
  readonly isMarked: boolean;
  /** More rows were to be deleted than may be without a person. */
  readonly isAsked: boolean;
  readonly wrong: readonly string[];
}

const rowsOfStatement = 100_000;
const looksMs = 200;
const limitMs = 120_000;

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

  /** Kills the source in a statement. The target must become equal by itself once the table can be read. */
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
      delete: 'delete from torn where id % 3 <> 0',
    }[verb];
    const writing = streaming.source.query(statement).catch(() => undefined);
    await sleep(random.int(5, 250));
    await restart(this.#source, 'SIGKILL');
    await writing;
    await streaming.reconnectSource();
    if (this.#repair === 'by hand') await streaming.source.query('repair table torn');
    let isMarked = false;
    // Somebody uses the table sooner or later.
    const read = await streaming.source.query('select count(*) from torn').catch(() => null);
    if (read === null) {
      isMarked = true;
      await streaming.until(
        async () => (await streaming.tableState('torn')).state === 'suspended',
        'the table is suspended',
      );
      await streaming.source.query('repair table torn');
    }
    await streaming.caughtUp();
    let differences: readonly string[] = [];
    let isAsked = false;
    for (const deadline = Date.now() + limitMs; Date.now() < deadline; await sleep(looksMs)) {
      // A suspended table need not wait for its pause.
      await streaming.target.query('update tidegate_raw.tables set retry_at = now() where retry_at is not null');
      differences = await streaming.differences();
      if (differences.length === 0) break;
      const asked = await streaming.rows(`select from tidegate_raw.jobs where unconfirmed`);
      if (asked.length === 0 || isAsked) continue;
      isAsked = true;
      await runCli(['backfill', 'torn', '--yes'], streaming.env);
    }
    const [[count]] = (await streaming.source.query('select count(*) as n from torn')) as unknown as [[{ n: number }]];
    return { rows: count.n, isMarked, isAsked, wrong: differences };
  }
}
