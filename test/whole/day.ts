import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { compareDatabases, isEqual } from '../../testing/compare/compare.ts';
import { bundleProgram } from '../../testing/program.ts';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { createReplica } from '../../testing/replica.ts';
import { RunProcess, patienceMs } from '../../testing/run-process.ts';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';
import { Proxy } from '../support/proxy.ts';
import { whileSourceConnected } from '../support/while-connected.ts';
import { Breaker } from './day/breaker.ts';
import { askedJobs, createTables, keyed, keyless, write } from './day/tables.ts';
import { JobTally, backfillOf, jobsAgainAndAgain, openJobs, refusals, requestJobs, verificationOf } from './jobs.ts';

/**
 * A day compressed: one service whose connections are broken again and again while writers write and jobs run. What it holds must not grow:
 * `npm run day -- [--breaks 3600] [--jobs 2000] [--samples 40] [--seed N] [--source mariadb|mysql]`. Exit code 1 when something is not as
 * it must be. It measures on Linux only.
 */
const { values } = parseArgs({
  options: {
    breaks: { type: 'string', default: '3600' },
    jobs: { type: 'string', default: '2000' },
    samples: { type: 'string', default: '40' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    source: { type: 'string', default: 'mariadb' },
  },
});

/** What the service holds at a quiet moment, after a garbage collection. */
interface Sample {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly resources: number;
  readonly listeners: number;
  readonly descriptors: number;
}

/** Samples before this share of the day do not count: caches fill. */
const settled = 0.25;
/** The share of the day that each of the two windows takes. */
const windowShare = 0.2;
const flat = 0.05;
const stopMs = 15_000;

await bundleProgram();
const startedAt = Date.now();
const wanted = { breaks: Number(values.breaks), jobs: Number(values.jobs), samples: Number(values.samples) };
process.exitCode = await day(new SeededRandom(Number(values.seed)));

async function day(random: SeededRandom): Promise<number> {
  const server = await startSource({ flavor: values.source === 'mysql' ? 'mysql' : 'mariadb' });
  const targetServer = await startTarget();
  const replica = await createReplica(server, targetServer);
  const admin = await replica.sourceAdmin();
  await createTables(admin);
  await admin.end();
  await using source = await Proxy.start(server);
  await using target = await Proxy.start(targetServer);
  await using breaker = await Breaker.start(replica, { source, target }, random.fork('breaks'));
  const run = new RunProcess({
    ...replica.env,
    ...{ SOURCE_DB_HOST: source.host, SOURCE_DB_PORT: String(source.port) },
    ...{ TARGET_DB_HOST: target.host, TARGET_DB_PORT: String(target.port) },
    ...{ TABLES_REFRESH: keyless, SNAPSHOT_CONNECTIONS: '4' },
    NODE_OPTIONS: `--import=${new URL('day/probe.ts', import.meta.url).href}`,
  });
  const wrong: string[] = [];
  const tally = new JobTally();
  const samples: Sample[] = [];
  const over = new AbortController();
  try {
    await run.logged('streaming');
    const writing = [1, 2].map(
      async (n) =>
        await whileSourceConnected(replica.sourceAdminOptions, over.signal, async (session) => {
          await write(session, random.fork(`writer ${n}`), over.signal);
        }),
    );
    for (const writer of writing) writer.catch(() => over.abort());
    const progress = () => Math.min(breaker.count / wanted.breaks, tally.count / wanted.jobs);
    while (progress() < 1 && !over.signal.aborted) {
      await work((samples.length + 1) / wanted.samples);
      await isQuiet();
      samples.push(await sample(run));
      say(
        `${percent(progress())}, ${seconds()} s: ${breaker.count} connections broken, ${restarts()} restarts of the stream, ${tally.count} jobs; ${inWords(samples.at(-1))}`,
      );
    }
    over.abort();
    await Promise.all(writing);
    const { targetAdmin } = replica;
    await requestJobs(targetAdmin, [...keyed.map((table) => verificationOf(table)), backfillOf(keyless)]);
    await isQuiet();
    wrong.push(...tally.wrong, ...(await refusals(targetAdmin)));
    run.signal('SIGTERM');
    const end = await Promise.race([run.exited, sleep(stopMs, null, { ref: false })]);
    if (end?.code !== 0) wrong.push(`it did not end as it should: ${JSON.stringify(end)}\n${run.tail()}`);
    const compared = await compareDatabases({
      source: { host: server.host, port: server.port, user: server.user, password: server.password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    });
    wrong.push(...compared.filter((table) => !isEqual(table)).map((table) => `UNEQUAL ${JSON.stringify(table)}`));
    wrong.push(...growth(samples));
  } finally {
    over.abort();
    await run.kill();
    await replica.drop();
    await Promise.all([server.stop(), targetServer.stop()]);
  }
  for (const what of wrong) say(`WRONG ${what}`);
  say(JSON.stringify({ broken: breaker.broken, jobs: tally.done }));
  say(
    `${server.flavor} ${server.version}: ${breaker.count} connections broken, ${source.connections + target.connections} opened, ${restarts()} restarts of the stream, ${tally.count} jobs in ${seconds()} s, seed ${values.seed}: ${wrong.length === 0 ? 'flat, and all equal' : `${wrong.length} things wrong`}`,
  );
  return wrong.length === 0 ? 0 : 1;

  /** Breaks connections and requests jobs up to this share of the day, as evenly as they get done. */
  async function work(share: number): Promise<void> {
    const stop = new AbortController();
    const loops = [1, 2, 3].map(
      async (n) =>
        await jobsAgainAndAgain(
          replica.targetAdminOptions,
          stop.signal,
          (
            (asking) => () =>
              askedJobs(asking)
          )(random.fork(`jobs ${n} ${share}`)),
          (job) => tally.add(job),
        ),
    );
    for (const loop of loops) loop.catch(() => stop.abort());
    while (!stop.signal.aborted) {
      const breaksShare = breaker.count / wanted.breaks;
      const jobsShare = tally.count / wanted.jobs;
      if (breaksShare >= share && jobsShare >= share) break;
      if (breaksShare < share && breaksShare <= jobsShare + 0.02) await breaker.breakSome();
      // Most of the time it streams again when the next connection breaks, and jobs come along.
      if (random.chance(0.8)) await until('it streams again', streams);
      await sleep(random.int(0, 400));
      if (!run.running) throw new Error(`run has ended:\n${run.tail()}`);
    }
    stop.abort();
    await Promise.all(loops);
  }

  /** Waits until no job is open and it streams. */
  async function isQuiet(): Promise<void> {
    await until('no job is open', async () => (await openJobs(replica.targetAdmin)) === 0);
    await until('it streams', streams);
    // What a job leaves open, and the watches of closed connections, end within this time.
    await sleep(2_000);
  }

  async function streams(): Promise<boolean> {
    const last = run.lines.findLast(({ msg }) => msg === 'streaming' || msg === 'retrying' || msg === 'checking');
    return await Promise.resolve(last?.msg === 'streaming');
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    for (const deadline = Date.now() + patienceMs; !(await holds()); await sleep(20)) {
      if (!run.running) throw new Error(`run has ended; waited until ${what}:\n${run.tail()}`);
      if (Date.now() > deadline) throw new Error(`not within ${patienceMs / 1000} s: ${what}\n${run.tail()}`);
    }
  }

  function restarts(): number {
    return run.lines.filter(({ msg }) => msg === 'checking').length - 1;
  }
}

async function sample(run: RunProcess): Promise<Sample> {
  const askedAt = Date.now();
  run.signal('SIGUSR2');
  const line = await run.logged('probe', ({ time }) => time >= askedAt);
  const { rss, heapUsed, external, resources, listeners } = line as unknown as Sample & {
    readonly resources: Readonly<Record<string, number>>;
  };
  return {
    ...{ rss, heapUsed, external, listeners },
    resources: Object.values(resources).reduce((sum, count) => sum + count, 0),
    descriptors: (await readdir(`/proc/${run.pid}/fd`)).length,
  };
}

/** What grew from the first settled window to the last. */
function growth(samples: readonly Sample[]): string[] {
  const length = Math.max(1, Math.floor(samples.length * windowShare));
  const begin = Math.floor(samples.length * settled);
  const first = samples.slice(begin, begin + length);
  const last = samples.slice(-length);
  const grown: string[] = [];
  for (const [name, limit] of [
    ['rss', flat],
    ['heapUsed', flat],
    ['resources', 0],
    ['listeners', 0],
    ['descriptors', 0],
  ] as const) {
    const [from, to] = [first, last].map((part) => median(part.map((each) => each[name]))) as [number, number];
    const change = (to - from) / from;
    say(`${name}: ${from} → ${to} (${change >= 0 ? '+' : ''}${percent(change)})`);
    if (change > limit) grown.push(`${name} grew from ${from} to ${to}`);
  }
  return grown;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function inWords(held: Sample | undefined): string {
  if (held === undefined) return '';
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `rss ${mib(held.rss)}, heap ${mib(held.heapUsed)}, external ${mib(held.external)}, ${held.descriptors} descriptors, ${held.resources} resources, ${held.listeners} listeners`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function seconds(): number {
  return Math.round((Date.now() - startedAt) / 1_000);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
