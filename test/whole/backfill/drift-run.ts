import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, ResultSetHeader } from 'mysql2/promise';
import { Client } from 'pg';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import { SeededRandom } from '../../../testing/random/seeded-random.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';

import { createReplica, type Replica } from '../../../testing/replica.ts';

export interface DriftOptions {
  readonly source: SourceServer;
  readonly target: TargetServer;
  readonly engine: 'InnoDB' | 'MyISAM';
  /** It lasts longer where a busy machine needs more time for a backfill, a kill and a repair. */
  readonly seconds: number;
  readonly rows: number;
  readonly seed: number;
  /** Seconds between two SIGKILLs, approximately; the program then starts again. 0: never. */
  readonly killEverySeconds: number;
  /** Rows of the target are damaged without Tidegate's knowledge, for the backfills to find. */
  readonly damage: boolean;
  readonly say: (text: string) => void;
}

export interface DriftResult {
  readonly changes: number;
  readonly backfills: number;
  readonly repaired: number;
  readonly verifications: number;
  readonly kills: number;
  readonly polls: number;
  /** Verifications that found a difference in an undamaged table. */
  readonly falseAlarms: readonly string[];
  /** Rows that went back to an older version, as a reader of the target saw it. */
  readonly wentBack: readonly string[];
  /** Tables that differed at the end. */
  readonly unequal: readonly string[];
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
 * rows and empty a table, and a reader watches the target. Each change gives its row a higher version, so a version that goes
 * back at the target is stale. At the end everything must be equal, including what was damaged.
 */
export async function backfillWhileItDrifts(options: DriftOptions): Promise<DriftResult> {
  const { source, target, seconds, seed, say } = options;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  const stop = new AbortController();
  const counts = { changes: 0, backfills: 0, repaired: 0, verifications: 0, kills: 0 };
  const falseAlarms: string[] = [];
  let run: RunProcess | null = null;
  const count = (ended: readonly Ended[]) => {
    for (const job of ended) {
      counts[job.kind === 'verify' ? 'verifications' : 'backfills']++;
      counts.repaired += job.repaired;
      if (job.kind === 'verify' && job.table !== damagedTable && job.differences > 0)
        falseAlarms.push(`${job.table}: ${job.differences} differences`);
    }
  };
  try {
    for (const table of tables) await makeTable(admin, table, options);
    run = new RunProcess(replica.env);
    await run.logged('streaming');
    const random = new SeededRandom(seed);
    const reader = new VersionReader(replica);
    const writers = Array.from({ length: writerCount }, async (_, index) => {
      await write(replica, options, index, new SeededRandom(seed * 31 + index), stop.signal, () => counts.changes++);
    });
    const reading = reader.watch(stop.signal);
    const damaging = options.damage
      ? damage(replica, options, new SeededRandom(seed + 7), stop.signal)
      : Promise.resolve();
    const all = Promise.all([...writers, reading, damaging]);
    all.catch(() => stop.abort());
    const deadline = Date.now() + seconds * 1000;
    const isEnough = () =>
      counts.backfills > 0 &&
      (counts.kills > 0 || options.killEverySeconds === 0) &&
      (counts.repaired > 0 || !options.damage);
    let nextKill = Date.now() + options.killEverySeconds * 1000;
    let requested = await request(replica, random);
    while ((Date.now() < deadline || !isEnough()) && !stop.signal.aborted) {
      await sleep(50);
      if (options.killEverySeconds > 0 && Date.now() > nextKill) {
        await run.kill();
        counts.kills++;
        run = new RunProcess({
          ...replica.env,
          ...(random.chance(0.5)
            ? {
                TIDEGATE_FAILPOINT: `${random.pick(['chunk-merged', 'job-advanced', 'committed'])}:${random.int(20, 200)}`,
              }
            : {}),
        });
        nextKill = Date.now() + options.killEverySeconds * 1000 * (0.5 + random.next());
      }
      if (!run.running) {
        counts.kills++;
        run = new RunProcess(replica.env);
      }
      const ended = await endedOf(replica, requested);
      if (ended === null) continue;
      count(ended);
      requested = await request(replica, random);
    }
    stop.abort();
    await all;
    for (let round = 0; round < 2; round++) {
      let ended = await endedOf(replica, requested);
      for (; ended === null; ended = await endedOf(replica, requested)) {
        // A failpoint may still kill the program.
        if (!run.running) run = new RunProcess(replica.env);
        await sleep(100);
      }
      count(ended);
      if (round === 0) requested = await request(replica, null);
    }
    await run.stop();
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    const compared = await compareDatabases({
      source: { host: source.host, port: source.port, user: source.user, password: source.password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    });
    const unequal = compared
      .filter((table) => !isEqual(table))
      .map(
        ({ table, missing, extra, different, examples }) =>
          `${table}: ${missing} missing, ${extra} extra, ${different} different: ${examples.join('; ')}`,
      );
    say(
      `${counts.changes} changes, ${counts.backfills} backfills, ${counts.repaired} rows repaired, ${counts.verifications} verifications, ${counts.kills} kills, ${reader.polls} looks`,
    );
    return {
      ...counts,
      polls: reader.polls,
      wentBack: reader.wentBack,
      falseAlarms,
      unequal: compared.length === tables.length ? unequal : ['a table is missing'],
    };
  } finally {
    stop.abort();
    await run?.kill();
    admin.destroy();
    await replica.drop();
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
  { rows, engine }: DriftOptions,
  index: number,
  random: SeededRandom,
  signal: AbortSignal,
  changed: () => void,
): Promise<void> {
  const session = await replica.sourceAdmin();
  let version = 0;
  const key = (table: (typeof tables)[number]) => {
    const range = random.chance(0.7) ? hotKeys : countOf(table, rows);
    const own = Math.floor(random.int(0, range) / writerCount) * writerCount + index;
    return table === 'word' ? `'${own}'` : String(own);
  };
  const change = async () => {
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
  try {
    while (!signal.aborted) {
      const isTransaction = engine === 'InnoDB' && random.chance(0.3);
      try {
        if (isTransaction) await session.query('begin');
        for (let left = isTransaction ? random.int(1, 30) : 1; left > 0; left--) await change();
        if (isTransaction) await session.query('commit');
        if (index === 0 && random.chance(0.002)) {
          await session.query('truncate aging');
          await fill(session, 'aging', countOf('aging', rows), ++version);
        }
      } catch (error) {
        if (!passing.has((error as { errno?: number }).errno ?? 0)) throw error;
        await session.query('rollback');
      }
      if (random.chance(0.05)) await sleep(random.int(0, 20));
    }
  } finally {
    session.destroy();
  }
}

/** Deletes, changes or invents rows of the target whose keys the reader does not watch. */
async function damage(
  replica: Replica,
  { rows }: DriftOptions,
  random: SeededRandom,
  signal: AbortSignal,
): Promise<void> {
  const client = new Client(replica.targetAdminOptions);
  await client.connect();
  try {
    while (!signal.aborted) {
      const id = random.int(hotKeys * 2, rows);
      await client.query(
        random.pick([
          `delete from raw.visit where id between ${id} and ${id + 3}`,
          `update raw.visit set body = 'damaged' where id = ${id}`,
          `insert into raw.visit (id, version) values (${rows * 2 + id}, 0) on conflict do nothing`,
        ]),
      );
      await sleep(random.int(5, 60));
    }
  } finally {
    await client.end();
  }
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
    const client = new Client(this.#replica.targetAdminOptions);
    await client.connect();
    const seen = new Map<string, { version: bigint; isThere: boolean }>();
    try {
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
    } finally {
      await client.end();
    }
  }
}

/** Rows begin and cease to meet each of these conditions. */
const conditions = ['amount >= 2', 'version % 2 = 0', "body is not null and amount < 100 or body = 'damaged'"];

/** Requests a job for each table, as the commands do. Most are backfills; without `random` all are backfills of all rows. */
async function request(replica: Replica, random: SeededRandom | null): Promise<string[]> {
  const asked = tables.map((table) => {
    const kind = random?.pick(['all', 'all', 'part', 'verify']) ?? 'all';
    return {
      ...{ table, kind: kind === 'verify' ? 'verify' : 'backfill', repair: kind !== 'verify' },
      condition: kind === 'part' ? (random?.pick(conditions) ?? null) : null,
    };
  });
  const { rows } = await replica.targetAdmin.query<{ id: string }>(
    `insert into tidegate_raw.jobs (table_name, kind, repair, condition, confirmed, state, requested_by)
     select j."table", j.kind, j.repair, j.condition, true, 'waiting', 'test'
       from json_to_recordset($1) as j("table" text, kind text, repair boolean, condition text) returning id`,
    [JSON.stringify(asked)],
  );
  return rows.map(({ id }) => id);
}

interface Ended {
  readonly table: string;
  readonly kind: string;
  readonly repaired: number;
  readonly differences: number;
}

/** The results of the jobs, null until all have ended; throws if one failed. */
async function endedOf(replica: Replica, ids: readonly string[]): Promise<Ended[] | null> {
  const { rows } = await replica.targetAdmin.query<Ended & { state: string; reason: string | null }>(
    `select state, reason, table_name as "table", kind, repaired::int, (missing + extra + different)::int as differences
       from tidegate_raw.jobs where id in (${ids.join(', ')})`,
  );
  const failed = rows.find(({ state }) => state === 'failed' || state === 'cancelled');
  if (failed !== undefined) throw new Error(`a job ${failed.state}: ${failed.reason}`);
  return rows.every(({ state }) => state === 'done') ? rows : null;
}
