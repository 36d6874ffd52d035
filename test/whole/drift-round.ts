import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, ResultSetHeader } from 'mysql2/promise';
import { compareDatabases, isEqual } from '../../testing/compare/compare.ts';
import { type Replica, createReplica } from '../../testing/replica.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import type { SourceServer, TargetServer } from '../../testing/servers/server.ts';
import { whileSourceConnected, whileTargetConnected } from '../support/while-connected.ts';
import { verifiedAtRest } from './at-rest.ts';
import { inWords, liveUntil } from './kill/life.ts';
import { jobFailpoints } from './kill/plan.ts';
import { type AskedJob, type EndedJob, backfillOf, jobsAgainAndAgain, verificationOf } from './jobs.ts';

export interface DriftOptions {
  readonly source: SourceServer;
  readonly target: TargetServer;
  readonly engine: 'InnoDB' | 'MyISAM';
  readonly rows: number;
  readonly seed: number;
  /** How long the program lives, approximately, until it is killed and starts again. */
  readonly killEverySeconds: number;
  /** The longest pause of a writer between two changes. */
  readonly pauseMs: number;
  /** Called after each kill. */
  readonly say: (text: string) => void;
}

export interface DriftResult {
  readonly changes: number;
  readonly backfills: number;
  readonly repaired: number;
  readonly verifications: number;
  readonly kills: number;
  readonly polls: number;
  /**
   * What was not as it must be: rows that went back to an older version, as a reader of the target saw it, verifications that found a
   * difference in an undamaged table, and tables that differed at the end.
   */
  readonly wrong: readonly string[];
  /** Rows compared. */
  readonly compared: number;
}

/** `visit` is the large table; `word` has a text key; `aging` is emptied and refilled. */
const tables = ['visit', 'word', 'aging'] as const;
const damagedTable = 'visit';

const writerCount = 4;
/** Most changes hit these keys, and the reader watches them. */
const hotKeys = 400;

/** Error numbers of a lost race or a lock wait (duplicate key, lock wait timeout, deadlock); the writer skips such a change. */
const passing = new Set([1062, 1205, 1213]);

/**
 * Backfills and verifies every table, entirely and in part, again and again. Meanwhile writers insert, update, delete and move
 * rows and empty a table, rows of the target are damaged without Tidegate's knowledge, and a reader watches the target. Each change gives
 * its row a higher version, so a version that goes back at the target is stale. At the end everything must be equal, including what was
 * damaged. The servers may be killed, too, while `drift` runs.
 */
export class DriftRound {
  readonly replica: Replica;
  readonly #options: DriftOptions;
  readonly #reader: VersionReader;
  readonly #counts = { changes: 0, kills: 0 };
  readonly #falseAlarms: string[] = [];

  private constructor(replica: Replica, options: DriftOptions) {
    this.replica = replica;
    this.#options = options;
    this.#reader = new VersionReader(replica);
  }

  static async prepare(options: DriftOptions): Promise<DriftRound> {
    const replica = await createReplica(options.source, options.target);
    const admin = await replica.sourceAdmin();
    try {
      for (const table of tables) await makeTable(admin, table, options);
    } finally {
      await admin.end();
    }
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    return new DriftRound(replica, options);
  }

  /** Works until `isOver`, given the number of kills so far. */
  async drift(isOver: (kills: number) => boolean): Promise<void> {
    const { replica } = this;
    const options = this.#options;
    const random = new SeededRandom(options.seed);
    const asking = random.fork('jobs');
    const stop = new AbortController();
    const writers = Array.from(
      { length: writerCount },
      async (_, index) =>
        await write(replica, options, index, new SeededRandom(options.seed * 31 + index), stop.signal, () => {
          this.#counts.changes++;
        }),
    );
    const all = [
      ...writers,
      this.#reader.watch(stop.signal),
      damage(replica, options, new SeededRandom(options.seed + 7), stop.signal),
      jobsAgainAndAgain(
        replica.targetAdminOptions,
        stop.signal,
        () => askedJobs(asking),
        (job) => this.#check(job),
      ),
      this.#killAgainAndAgain(random.fork('kills'), stop.signal),
    ];
    // What fails ends the others.
    for (const part of all) part.catch(() => stop.abort());
    while (!stop.signal.aborted && !isOver(this.#counts.kills)) await sleep(50);
    stop.abort();
    await Promise.allSettled(all);
    await Promise.all(all);
  }

  /** Lets the service catch up undisturbed, and compares. */
  async finish(): Promise<DriftResult> {
    const { source } = this.#options;
    const atRest = await verifiedAtRest(this.replica, {
      backfill: [damagedTable],
      verify: tables.filter((table) => table !== damagedTable),
    });
    await new RunProcess(this.replica.env, ['--until-caught-up']).succeeded();
    const compared = await compareDatabases({
      source: { host: source.host, port: source.port, user: source.user, password: source.password },
      database: this.replica.database,
      target: this.replica.targetAdminOptions,
      schema: this.replica.schema,
    });
    const wrong = [
      ...this.#reader.wentBack.map((text) => `WENT BACK ${text}`),
      ...this.#falseAlarms.map((text) => `FALSE ALARM ${text}`),
      ...atRest.wrong,
      ...compared.filter((table) => !isEqual(table)).map((table) => `UNEQUAL ${JSON.stringify(table)}`),
      ...(compared.length === tables.length ? [] : ['a table is missing']),
    ];
    const rows = compared.reduce((sum, { sourceRows }) => sum + sourceRows, 0);
    return { ...this.#counts, ...atRest.jobs, polls: this.#reader.polls, wrong, compared: rows };
  }

  async #killAgainAndAgain(random: SeededRandom, signal: AbortSignal): Promise<void> {
    const { killEverySeconds, say } = this.#options;
    while (!signal.aborted) {
      const life = await liveUntil(
        random.chance(0.5)
          ? { by: 'failpoint', name: random.pick([...jobFailpoints, 'committed']), nth: random.int(20, 200) }
          : { by: 'signal', after: 'streaming', delayMs: random.int(0, killEverySeconds * 1_000) },
        this.replica.env,
        () => undefined,
        killEverySeconds * 1_500 + 10_000,
      );
      this.#counts.kills++;
      say(inWords(life));
    }
  }

  #check({ table, kind, differences }: EndedJob): void {
    if (kind === 'verify' && table !== damagedTable && differences > 0)
      this.#falseAlarms.push(`${table}: ${differences} differences`);
  }
}

async function makeTable(
  admin: Connection,
  table: (typeof tables)[number],
  { engine, rows }: DriftOptions,
): Promise<void> {
  const key =
    table === 'word' ? `id varchar(12) character set utf8mb4 collate utf8mb4_general_ci not null` : 'id int not null';
  await admin.query(
    `create table ${table} (${key}, version bigint not null, body varchar(200), amount decimal(10,2), primary key (id)) engine=${engine}`,
  );
  await fill(admin, table, countOf(table, rows), 0);
}

async function fill(session: Connection, table: string, count: number, version: number): Promise<void> {
  for (let from = 0; from < count; from += 5_000) {
    const values = Array.from(
      { length: Math.min(5_000, count - from) },
      (_, i) => `('${from + i}', ${version}, 'body ${from + i}', ${i}.5)`,
    );
    await session.query(`insert into ${table} values ${values.join(', ')}`);
  }
}

/** The table with the text key is smaller, because its keys are read on both sides. */
function countOf(table: (typeof tables)[number], rows: number): number {
  return table === 'visit' ? rows : Math.ceil(rows / 10);
}

/** Each writer has its own keys, so that the versions of a key rise in the order of the changes. */
async function write(
  replica: Replica,
  { rows, engine, pauseMs }: DriftOptions,
  index: number,
  random: SeededRandom,
  signal: AbortSignal,
  changed: () => void,
): Promise<void> {
  let version = 0;
  const key = (table: (typeof tables)[number]) => {
    const range = random.chance(0.7) ? hotKeys : countOf(table, rows);
    const own = Math.floor(random.int(0, range) / writerCount) * writerCount + index;
    return table === 'word' ? `'${own}'` : String(own);
  };
  const change = async (session: Connection) => {
    // Only the writer that empties `aging` writes to it; otherwise its versions would not rise.
    const table = random.pick(['visit', 'visit', 'visit', 'word', index === 0 ? 'aging' : 'visit'] as const);
    const id = key(table);
    version++;
    const [result] = await session.query<ResultSetHeader>(
      random.pick([
        `insert into ${table} values (${id}, ${version}, 'new', 1) on duplicate key update version = ${version}`,
        `update ${table} set version = ${version}, body = repeat('x', ${random.int(0, 150)}) where id = ${id}`,
        `update ${table} set version = ${version}, amount = amount + 1 where id = ${id}`,
        `delete from ${table} where id = ${id}`,
        `update ignore ${table} set id = ${key(table)}, version = ${version} where id = ${id}`,
        `replace into ${table} values (${id}, ${version}, null, null)`,
      ]),
    );
    if (result.affectedRows > 0) changed();
  };
  await whileSourceConnected(replica.sourceAdminOptions, signal, async (session) => {
    // Tests read the general log for the statements of Tidegate, and it must not grow by millions of rows.
    await session.query('set session sql_log_off = 1');
    while (!signal.aborted) {
      const isTransaction = engine === 'InnoDB' && random.chance(0.3);
      try {
        if (isTransaction) await session.query('begin');
        for (let left = isTransaction ? random.int(1, 30) : 1; left > 0; left--) await change(session);
        if (isTransaction) await session.query('commit');
        if (index === 0 && random.chance(0.002)) {
          await session.query('truncate aging');
          await fill(session, 'aging', countOf('aging', rows), ++version);
        }
      } catch (error) {
        if (!passing.has((error as { errno?: number }).errno ?? 0)) throw error;
        await session.query('rollback');
      }
      if (pauseMs > 0) await sleep(random.int(0, pauseMs));
    }
  });
}

/** Deletes, changes or invents rows of the target whose keys the reader does not watch. */
async function damage(
  replica: Replica,
  { rows }: DriftOptions,
  random: SeededRandom,
  signal: AbortSignal,
): Promise<void> {
  await whileTargetConnected(replica.targetAdminOptions, signal, async (session) => {
    while (!signal.aborted) {
      const id = random.int(hotKeys * 2, rows);
      await session.query(
        random.pick([
          `delete from raw.visit where id between ${id} and ${id + 3}`,
          `update raw.visit set body = 'damaged' where id = ${id}`,
          `insert into raw.visit (id, version) values (${rows * 2 + id}, 0) on conflict do nothing`,
        ]),
      );
      await sleep(random.int(5, 60));
    }
  });
}

/** Reads the versions of the hot keys at the target again and again. */
class VersionReader {
  polls = 0;
  readonly wentBack: string[] = [];
  readonly #replica: Replica;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  async watch(signal: AbortSignal): Promise<void> {
    await whileTargetConnected(this.#replica.targetAdminOptions, signal, async (client) => {
      // A target that was killed may have lost its last commits, so nothing seen before counts.
      const seen = new Map<string, { version: bigint; isThere: boolean }>();
      while (!signal.aborted) {
        const { rows } = await client.query<{ key: string; version: string }>(
          `select 'visit ' || id as key, version from raw.visit where id <= ${hotKeys}
           union all select 'word ' || id, version from raw.word where length(id) <= 3
           union all select 'aging ' || id, version from raw.aging where id <= ${hotKeys}`,
        );
        this.polls++;
        const now = new Map(rows.map(({ key, version }) => [key, BigInt(version)]));
        for (const [key, version] of now) {
          const before = seen.get(key);
          if (before !== undefined && (version < before.version || (version === before.version && !before.isThere)))
            this.wentBack.push(
              `${key}: ${version} after ${before.version}${before.isThere ? '' : ', which was deleted'}`,
            );
          seen.set(key, { version, isThere: true });
        }
        for (const [key, before] of seen) if (!now.has(key)) seen.set(key, { ...before, isThere: false });
        await sleep(5);
      }
    });
  }
}

/** Rows begin and cease to meet each of these conditions. */
const conditions = ['amount >= 2', 'version % 2 = 0', "body is not null and amount < 100 or body = 'damaged'"];

/** A job for each table. Most are backfills. */
function askedJobs(random: SeededRandom): AskedJob[] {
  return tables.map((table) =>
    random.pick([
      backfillOf(table),
      backfillOf(table),
      backfillOf(table, random.pick(conditions)),
      verificationOf(table),
      verificationOf(table, true),
    ]),
  );
}
