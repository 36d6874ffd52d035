import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { Client } from 'pg';
import { debianRoot } from '../testing/servers/debian.ts';
import { createReplica, type Replica } from '../testing/replica.ts';
import { runCli } from '../test/support/cli.ts';
import type { LagReport } from '../src/monitoring/lag-report.ts';
import type { StatusDocument } from '../src/monitoring/monitor.ts';
import type { BenchContext } from './context.ts';
import { MeasuredRun } from './measured-run.ts';
import type { BenchLine, BenchResult } from './report.ts';

/** The permitted error of a report: seconds, or a share of the truth. */
const barSeconds = 1;
const barShare = 0.05;
const skewSeconds = 300;

/** The report for a moment: milliseconds since 1970 by this machine's clock, and seconds behind. */
interface Look {
  readonly at: number;
  readonly said: number | null;
}

/**
 * Compares the reported lag with the real lag. A prober commits stamps and remembers the times; another session watches the
 * target for them. The true lag at a moment is the age of the oldest stamp that is committed and not yet visible.
 */
class Prober {
  readonly #admin: Connection;
  readonly #target: Client;
  readonly #schema: string;
  /** By stamp number: when it was committed, and when it was first seen, in milliseconds since 1970. */
  readonly #committedAt: number[] = [];
  readonly #seenAt: number[] = [];
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;

  private constructor(admin: Connection, target: Client, schema: string) {
    this.#admin = admin;
    this.#target = target;
    this.#schema = schema;
    this.#watching = this.#watch();
  }

  static async start(replica: Replica): Promise<Prober> {
    const admin = await replica.sourceAdmin();
    const target = new Client(replica.targetAdminOptions);
    await target.connect();
    return new Prober(admin, target, replica.schema);
  }

  /** Commits a stamp of at most a quarter of a megabyte. */
  async stamp(bytes = 8, before = ''): Promise<void> {
    if (before !== '') await this.#admin.query(before);
    await this.#admin.query('insert into stamp values (?, repeat(?, ?))', [this.#committedAt.length + 1, 'x', bytes]);
    this.#committedAt.push(Date.now());
  }

  /** The true seconds behind at a past moment, which is in milliseconds since 1970. */
  truthAt(moment: number): number {
    const oldest = this.#committedAt.find((_at, stamp) => (this.#seenAt[stamp] ?? Infinity) > moment);
    return oldest === undefined || oldest > moment ? 0 : (moment - oldest) / 1000;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    await this.#target.end();
    this.#admin.destroy();
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const { rows } = await this.#target
        .query<{ last: number }>(`select coalesce(max(id), 0)::int as last from ${this.#schema}.stamp`)
        // The table does not exist before the first snapshot.
        .catch(() => ({ rows: [{ last: 0 }] }));
      while (this.#seenAt.length < (rows[0]?.last ?? 0)) this.#seenAt.push(Date.now());
      await sleep(5);
    }
  }
}

export async function lagTruth({ source, target, quick, say }: BenchContext): Promise<BenchResult> {
  const seconds = quick ? 10 : 60;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  await admin.query('create table stamp (id int not null primary key, note mediumtext) engine=InnoDB');
  const prober = await Prober.start(replica);
  const env = { ...replica.env, LISTEN: '127.0.0.1:0' };
  const phases: Record<string, Look[]> = {};
  let run = new MeasuredRun(env);
  /** Reads the status while `work` runs. The service's clock may differ from ours. */
  const look = async (name: string, work: () => Promise<unknown>, skew = 0) => {
    say(`lag: ${name}`);
    const url = String((await run.logged('status page'))['url']);
    const looks = new Map<string, Look>();
    const stop = new AbortController();
    const looking = (async () => {
      while (!stop.signal.aborted) {
        const status = await statusOf(url);
        if (status !== null)
          looks.set(status.at, { at: Date.parse(status.at) - skew * 1000, said: status.lag.secondsBehind });
        await sleep(150);
      }
    })();
    await work();
    stop.abort();
    await looking;
    phases[name] = [...looks.values()];
  };
  const restart = async (more: Readonly<Record<string, string>> = {}) => {
    await run.stop();
    run = new MeasuredRun({ ...env, ...more });
    await run.logged('streaming');
  };
  const busy = async (perSecond: number, bytes = 8, before = '') => {
    const until = performance.now() + seconds * 1000;
    for (let next = performance.now(); performance.now() < until; next += 1000 / perSecond) {
      await prober.stamp(bytes, before);
      await sleep(Math.max(0, next - performance.now()));
    }
  };
  /** PostgreSQL waits for a lock, so a backlog forms while everything else works. */
  const heldUp = async (before = '') => {
    await replica.targetAdmin.query(`begin; lock table ${replica.schema}.stamp in exclusive mode`);
    await busy(50, 8, before);
    await replica.targetAdmin.query('rollback');
    await sleep(5_000);
  };
  const lagByCommand = async (): Promise<Look> => {
    const { stdout } = await runCli(['lag', '--json'], replica.env);
    return { at: Date.now(), said: (JSON.parse(stdout) as LagReport).secondsBehind };
  };
  try {
    await run.logged('streaming');
    await look('idle, a commit every 10 s', async () => await busy(0.1));
    await look('100 transactions/s', async () => await busy(100));
    await look('held up at the target, then let go', heldUp);
    say('lag: stopped while the source is at work');
    const stopped: Look[] = (phases['stopped while the source is at work, by the command'] = []);
    await Promise.all([
      busy(10, 1_000_000),
      (async () => {
        await sleep(1_000);
        await run.stop();
        while (stopped.length < (quick ? 5 : 20)) stopped.push(await lagByCommand());
      })(),
    ]);
    run = new MeasuredRun(env);
    await look('then catching up', async () => await run.logged('streaming'));
    await look('commits with a timestamp of 1999', async () => await busy(20, 8, 'set timestamp = 915148800'));
    await look('and held up', async () => await heldUp('set timestamp = 915148800'));
    await look('the time zone changes', async () => {
      await admin.query(`set global time_zone = '+05:30'`);
      await busy(20);
      await heldUp();
      await admin.query(`set global time_zone = 'SYSTEM'`);
    });
    const faketime = await fakeTime();
    for (const skew of [skewSeconds, -skewSeconds]) {
      const clock = { FAKETIME: `${skew > 0 ? '+' : ''}${skew}s`, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
      await restart({ LD_PRELOAD: faketime, ...clock });
      await look(`a clock that is off by ${skew} s, held up`, heldUp, skew);
    }
    await run.stop();
    await sleep(seconds * 1000);
    await prober.stamp();
    await sleep(1_000);
    const quiet = await lagByCommand();
    const lines = Object.entries(phases).map(([name, looks]) => judge(name, looks, prober));
    lines.push({
      ...{ bench: 'lag', what: `stopped, ${seconds} s of quiet, then a commit` },
      value: `${quiet.said} s, when it was ${prober.truthAt(quiet.at).toFixed(1)} s: the end of the quiet was not observed`,
    });
    return { lines, figures: phases };
  } finally {
    await run.kill();
    await prober.close();
    admin.destroy();
    await replica.drop();
  }
}

async function statusOf(url: string): Promise<StatusDocument | null> {
  try {
    return (await (await fetch(`${url}status.json`)).json()) as StatusDocument;
  } catch {
    // The service is starting or gone.
    return null;
  }
}

function judge(name: string, looks: readonly Look[], prober: Prober): BenchLine {
  const known = looks.flatMap(({ at, said }) => (said === null ? [] : [{ said, truth: prober.truthAt(at) }]));
  const off = known.map(({ truth, said }) => Math.abs(said - truth));
  const wrong = known.filter(({ truth }, index) => (off[index] ?? 0) > Math.max(barSeconds, barShare * truth)).length;
  const most = Math.max(0, ...known.map(({ truth }) => truth));
  return {
    bench: 'lag',
    what: name,
    value: `off by ${Math.max(0, ...off).toFixed(1)} s at most, of up to ${most.toFixed(1)} s; ${wrong} of ${known.length} beyond, ${looks.length - known.length} unknown`,
    bar: `within ${barSeconds} s or ${barShare * 100} %`,
    met: known.length > 0 && wrong === 0,
  };
}

async function fakeTime(): Promise<string> {
  const root = await debianRoot('bookworm', ['libfaketime']);
  return `${root}/usr/lib/${process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'}/faketime/libfaketime.so.1`;
}
