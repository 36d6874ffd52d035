import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createReplica } from '../testing/replica.ts';
import { runCli } from '../test/support/cli.ts';
import type { LagReport } from '../src/monitoring/lag-report.ts';
import type { BenchContext } from './context.ts';
import { MeasuredRun } from './measured-run.ts';
import type { BenchLine, BenchResult } from './report.ts';

const barSeconds = 5;

/** Measures the time of `lag --json` from the start of the program to its end, in each case of an outage. */
export async function lagAnswer({ source, target, quick, say }: BenchContext): Promise<BenchResult> {
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  await admin.query('create table visit (id int not null primary key) engine=InnoDB');
  // This behaves like a frozen server: it accepts the connection and sends nothing. A firewall that drops packets does not even
  // accept it.
  const frozen = createServer(() => undefined);
  frozen.listen(0, '127.0.0.1');
  await once(frozen, 'listening');
  const silent = String((frozen.address() as AddressInfo).port);
  const nowhere = '192.0.2.1';
  const run = new MeasuredRun(replica.env);
  const lines: BenchLine[] = [];
  const figures: Record<string, number[]> = {};
  const ask = async (what: string, changes: Readonly<Record<string, string>> = {}) => {
    say(`lag-answer: ${what}`);
    const taken: number[] = [];
    let report: LagReport | null = null;
    for (let time = 0; time < (quick ? 1 : 5); time++) {
      const startedAt = performance.now();
      report = JSON.parse((await runCli(['lag', '--json'], { ...replica.env, ...changes })).stdout) as LagReport;
      taken.push((performance.now() - startedAt) / 1000);
    }
    figures[what] = taken;
    const slowest = Math.max(...taken);
    const reported = `${report?.state}, ${report?.secondsBehind ?? 'unknown'}${report?.problems.length === 0 ? '' : ` (${report?.problems.join('; ')})`}`;
    lines.push({
      ...{ bench: 'lag-answer', what, value: `${slowest.toFixed(1)} s at most: ${reported}` },
      ...{ bar: `< ${barSeconds} s`, met: slowest < barSeconds },
    });
  };
  try {
    await run.logged('streaming');
    await ask('the service streams');
    await run.stop();
    await ask('the service is stopped');
    await ask('the source is down', { SOURCE_DB_PORT: '1' });
    await ask('the source is frozen', { SOURCE_DB_PORT: silent });
    await ask('the source is behind a firewall', { SOURCE_DB_HOST: nowhere });
    await ask('the target is down', { TARGET_DB_PORT: '1' });
    await ask('the target is frozen', { TARGET_DB_PORT: silent });
    await ask('the target is behind a firewall', { TARGET_DB_HOST: nowhere });
    await ask('both are frozen', { SOURCE_DB_PORT: silent, TARGET_DB_PORT: silent });
    return { lines, figures };
  } finally {
    await run.kill();
    frozen.close();
    admin.destroy();
    await replica.drop();
  }
}
