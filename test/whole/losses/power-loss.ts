import { cp, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';
import { runCli } from '../../support/cli.ts';
import { Streaming } from '../../pipeline/stream/support/streaming.ts';

/** What happened in one power loss. */
export interface PowerLoss {
  /** The target had transactions that the source lost. */
  readonly isLost: boolean;
  readonly isRefused: boolean;
  readonly isStopped: boolean;
  readonly again: number;
  readonly lostMs: number;
  /** What is not as it must be. */
  readonly wrong: readonly string[];
}

/** The longest time that a source forgets, in milliseconds. */
const mostLostMs = 10_000;

/** One source whose disk goes back again and again, with a service that follows it. */
export class Losses {
  readonly #source: SourceServer;
  readonly #streaming: Streaming;
  readonly #random: SeededRandom;
  readonly #data: string;
  readonly #gtids: 'domains' | 'sources' | 'none';
  #id = 0;
  #round = 0;

  private constructor(
    source: SourceServer,
    streaming: Streaming,
    random: SeededRandom,
    data: string,
    gtids: 'domains' | 'sources' | 'none',
  ) {
    this.#source = source;
    this.#streaming = streaming;
    this.#random = random;
    this.#data = data;
    this.#gtids = gtids;
  }

  /** `gtids`: whether transactions come from several GTID domains (MariaDB) or servers (MySQL). */
  static async start(
    servers: { readonly source: SourceServer; readonly target: TargetServer },
    random: SeededRandom,
    gtids: 'domains' | 'sources' | 'none',
  ): Promise<Losses> {
    const streaming = await Streaming.start(async (admin) => {
      await admin.query('create table visit (id int not null primary key, note varchar(40)) engine=InnoDB');
      await admin.query('create table counter (id int not null primary key, n int not null) engine=InnoDB');
      await admin.query('create table round (id int not null primary key) engine=InnoDB');
      await admin.query('insert into counter values (1, 0)');
    }, servers);
    const [[row]] = await streaming.source.query<RowDataPacket[]>('select @@datadir as data');
    return new Losses(servers.source, streaming, random, String(row?.['data']).replace(/\/$/, ''), gtids);
  }

  async end(): Promise<void> {
    await this.#streaming.end();
  }

  /** The power fails, and the disk is as it was up to ten seconds before. */
  async next(): Promise<PowerLoss> {
    const random = this.#random;
    const streaming = this.#streaming;
    const image = join(dirname(this.#data), 'image');
    const round = ++this.#round;
    await streaming.source.query('delete from visit where id <= ?', [this.#id - 50]);
    const stopsAt = random.pick(['never', 'never', 'never', 'image', 'loss'] as const);
    const stop = async () => {
      await streaming.run.stop();
    };
    await this.#write(streaming.source, random.int(0, 20), 'kept');
    if (stopsAt === 'image') await stop();
    // In some rounds nothing is lost.
    const isQuiet = random.chance(0.3);
    const writing = this.#write(streaming.source, isQuiet ? 0 : random.int(0, 60), 'kept');
    await sleep(random.int(0, 60));
    const end = await this.#takeImage(image);
    await writing;
    const lostMs = isQuiet ? 0 : Math.floor(random.next() ** 3 * mostLostMs);
    const lostAt = Date.now();
    const stopAt = stopsAt === 'loss' ? random.next() * lostMs : Infinity;
    while (Date.now() - lostAt < lostMs) {
      if (streaming.run.running && Date.now() - lostAt > stopAt) await stop();
      await this.#write(streaming.source, random.int(0, 30), 'lost');
      await sleep(random.int(0, 300));
    }
    const failedAt = Date.now();
    let applied = '';
    await this.#source.restart?.('SIGKILL', async () => {
      // What the service has received may still be on its way to the target.
      if (streaming.run.running) await streaming.logged('retrying', ({ time }) => time >= failedAt);
      applied = await streaming.checkpoint();
      await rm(this.#data, { recursive: true });
      await cp(image, this.#data, { recursive: true, preserveTimestamps: true });
      await rm(image, { recursive: true });
    });
    await streaming.reconnectSource();
    const [[last]] = await streaming.source.query<RowDataPacket[]>('select max(id) as id from visit');
    this.#id = Number(last?.['id'] ?? 0);
    const again = random.pick([0, 0, 1, 3, 50, 1_000]);
    await this.#write(streaming.source, again, 'next');
    if (!streaming.run.running) streaming.follow(streaming.another());
    await streaming.source.query('insert into round values (?)', [round]);

    const isLost = applied > end;
    const wrong: string[] = [];
    const refused = () => streaming.run.find('refused', ({ time }) => time >= failedAt) !== undefined;
    const hasCome = async () => (await streaming.rows(`select from round where id = ${round}`)).length > 0;
    await streaming.until(async () => refused() || (await hasCome()), 'it goes on or is refused');
    const isRefused = refused();
    if (isLost && !isRefused) wrong.push(`MISSED: the target had ${applied}, the source ended at ${end}`);
    if (!isLost && isRefused) wrong.push(`INVENTED: the target had ${applied}, the source ended at ${end}`);
    if (isRefused) {
      const { code, stdout, stderr } = await runCli(['resync', '--yes'], streaming.env);
      if (code !== 0) wrong.push(`resync ended with ${code}: ${stdout}${stderr}`);
    }
    await streaming.caughtUp();
    wrong.push(...(await streaming.differences()));
    return { isLost, isRefused, isStopped: stopsAt !== 'never', again, lostMs, wrong };
  }

  /** Copies the disk of the running server as a crash would leave it. Returns the end of its binlog. */
  async #takeImage(image: string): Promise<string> {
    const { pid } = this.#source;
    if (pid === undefined) throw new Error('the source is no process of this machine');
    process.kill(pid, 'SIGSTOP');
    try {
      await cp(this.#data, image, { recursive: true, preserveTimestamps: true });
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const files = (await readdir(image)).filter((name) => /^binlog\.\d+$/.test(name)).toSorted();
    const file = files.at(-1) ?? '';
    return sortable(file, (await stat(join(image, file))).size);
  }

  /** The same statements each time, so only what they store differs between two histories. */
  async #write(admin: Connection, transactions: number, note: string): Promise<void> {
    if (this.#gtids === 'domains') await admin.query(`set session gtid_domain_id = ${this.#random.int(0, 2)}`);
    const isReceived = this.#gtids === 'sources' && this.#random.chance(0.3);
    let next = isReceived ? await nextOfOther(admin) : 0;
    for (let n = 0; n < transactions; n++) {
      if (isReceived) await admin.query(`set gtid_next = '${otherServer}:${next++}'`);
      const rows = this.#random.chance(0.01) ? 3_000 : 1;
      const values = Array.from({ length: rows }, () => `(${++this.#id}, '${note}')`);
      await admin.query(
        this.#random.chance(0.3) ? 'update counter set n = n + 1' : `insert into visit values ${values.join(', ')}`,
      );
    }
    if (isReceived) await admin.query(`set gtid_next = 'automatic'`);
  }
}

/** A server whose transactions the source has received, as through a channel. */
const otherServer = 'aaaaaaaa-0000-4000-8000-000000000001';

/** The next transaction number of the other server at a MySQL source. */
async function nextOfOther(admin: Connection): Promise<number> {
  const [[row]] = await admin.query<RowDataPacket[]>('select @@global.gtid_executed as gtids');
  const known = new RegExp(`${otherServer}:(\\d+)(?:-(\\d+))?`).exec(String(row?.['gtids']));
  return Number(known?.[2] ?? known?.[1] ?? 0) + 1;
}

/** The form of Streaming.checkpoint. */
function sortable(file: string, offset: number): string {
  return `${file}:${String(offset).padStart(20, '0')}`;
}
