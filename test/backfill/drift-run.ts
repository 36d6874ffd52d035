import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, ResultSetHeader } from 'mysql2/promise';
import { Client } from 'pg';
import { compareDatabases, isEqual } from '../../sandbox/compare.ts';
import { RunProcess } from '../../sandbox/run-process.ts';
import { SeededRandom } from '../../sandbox/seeded-random.ts';
import type { SourceServer, TargetServer } from '../../sandbox/servers/server.ts';

import { createReplica, type Replica } from '../../sandbox/replica.ts';

export interface DriftOptions {
  readonly source: SourceServer;
  readonly target: TargetServer;
  readonly engine: 'InnoDB' | 'MyISAM';
  readonly seconds: number;
  readonly rows: number;
  readonly seed: number;
  /** SIGKILL about every so many seconds, and the program begins again; 0: never. */
  readonly killEverySeconds: number;
  /** Rows of the target are damaged behind everybody's back, for the backfills to find. */
  readonly damage: boolean;
  readonly say: (text: string) => void;
}

export interface DriftResult {
  readonly changes: number;
  readonly backfills: number;
  readonly mended: number;
  readonly kills: number;
  readonly polls: number;
  /** Rows a reader of the target saw go back to an older version. */
  readonly wentBack: readonly string[];
  /** Tables that were not equal at the end. */
  readonly unequal: readonly string[];
}

const writerCount = 4;
/** Keys that most of the changes are about, and that the reader watches. */
const hotKeys = 400;

/** Times, in milliseconds, that a lost race or a waiting lock may cost; such a change is simply not made. */
const passing = new Set([1062, 1205, 1213]);

/**
 * Backfills every table again and again while writers insert, update, delete and move rows, and looks at the target all the while:
 * each change gives its row a higher version, so a version that goes back at the target was stale. At the end everything must be
 * equal, what was damaged included.
 */
export async function backfillWhileItDrifts(options: DriftOptions): Promise<DriftResult> {
  const { source, target, seconds, seed, say } = options;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  const stop = new AbortController();
  const counts = { changes: 0, backfills: 0, mended: 0, kills: 0 };
  let run: RunProcess | null = null;
  try {
    for (const table of ['visit', 'word']) await makeTable(admin, table, options);
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
    let nextKill = Date.now() + options.killEverySeconds * 1000;
    let requested = await request(replica);
    while (Date.now() < deadline && !stop.signal.aborted) {
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
      counts.backfills += requested.length;
      counts.mended += ended;
      requested = await request(replica);
    }
    stop.abort();
    await all;
    for (let round = 0; round < 2; round++) {
      let ended = await endedOf(replica, requested);
      for (; ended === null; ended = await endedOf(replica, requested)) {
        // It may have one of its deaths before it still.
        if (!run.running) run = new RunProcess(replica.env);
        await sleep(100);
      }
      counts.backfills += requested.length;
      counts.mended += ended;
      if (round === 0) requested = await request(replica);
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
      `${counts.changes} changes, ${counts.backfills} backfills, ${counts.mended} rows mended, ${counts.kills} kills, ${reader.polls} looks`,
    );
    return {
      ...counts,
      polls: reader.polls,
      wentBack: reader.wentBack,
      unequal: compared.length === 2 ? unequal : ['a table is not there'],
    };
  } finally {
    stop.abort();
    await run?.kill();
    admin.destroy();
    await replica.drop();
  }
}

async function makeTable(admin: Connection, table: string, { engine, rows }: DriftOptions): Promise<void> {
  const key =
    table === 'visit' ? 'id int not null' : `id varchar(12) character set utf8mb4 collate utf8mb4_general_ci not null`;
  await admin.query(
    `create table ${table} (${key}, version bigint not null, body varchar(200), amount decimal(10,2), primary key (id)) engine=${engine}`,
  );
  // The text key's table is smaller: its keys are gone through on both sides.
  const count = table === 'visit' ? rows : Math.ceil(rows / 10);
  for (let from = 0; from < count; from += 5_000) {
    const values = Array.from(
      { length: Math.min(5_000, count - from) },
      (_, i) => `('${from + i}', 0, 'body ${from + i}', ${i}.5)`,
    );
    await admin.query(`insert into ${table} values ${values.join(', ')}`);
  }
}

/** Each writer has keys of its own, so that versions of a key rise in the order of the changes. */
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
  const key = (table: string) => {
    const range = random.chance(0.7) ? hotKeys : table === 'visit' ? rows : Math.ceil(rows / 10);
    const own = Math.floor(random.int(0, range) / writerCount) * writerCount + index;
    return table === 'visit' ? String(own) : `'${own}'`;
  };
  const change = async () => {
    const table = random.pick(['visit', 'visit', 'visit', 'word']);
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

/** Rows of the target that nobody watches get lost, changed, or invented. */
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

/** Looks at the versions of the hot keys at the target, again and again. */
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
           union all select 'word ' || id, version from raw.word where length(id) <= 3`,
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

/** Asks for a backfill of every table as the command does. */
async function request(replica: Replica): Promise<string[]> {
  const { rows } = await replica.targetAdmin.query<{ id: string }>(
    `insert into tidegate.jobs (replica, table_name, kind, repair, confirmed, state, requested_by)
     select '${replica.schema}', t, 'backfill', true, true, 'waiting', 'test' from unnest(array['visit', 'word']) t returning id`,
  );
  return rows.map(({ id }) => id);
}

/** How many rows jobs have mended, once all are ended; raises where one failed. */
async function endedOf(replica: Replica, ids: readonly string[]): Promise<number | null> {
  const { rows } = await replica.targetAdmin.query<{ state: string; reason: string | null; repaired: string }>(
    `select state, reason, repaired from tidegate.jobs where id in (${ids.join(', ')})`,
  );
  const failed = rows.find(({ state }) => state === 'failed' || state === 'cancelled');
  if (failed !== undefined) throw new Error(`a job ${failed.state}: ${failed.reason}`);
  return rows.every(({ state }) => state === 'done')
    ? rows.reduce((sum, { repaired }) => sum + Number(repaired), 0)
    : null;
}
