import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Replica } from '../../testing/replica.ts';
import { RunProcess, patienceMs } from '../../testing/run-process.ts';
import { backfillOf, doneJobs, endedOf, openJobs, refusals, requestJobs, verificationOf } from './jobs.ts';

/**
 * Runs the service while nobody writes. It ends the jobs that are left, then backfills and verifies these tables. Returns the jobs
 * that were done and what was not as it must be.
 */
export async function verifiedAtRest(
  replica: Replica,
  { backfill, verify }: { readonly backfill: readonly string[]; readonly verify: readonly string[] },
): Promise<{ readonly wrong: string[]; readonly jobs: Awaited<ReturnType<typeof doneJobs>> }> {
  const target = new Client(replica.targetAdminOptions);
  target.on('error', () => undefined);
  await target.connect();
  const run = new RunProcess(replica.env);
  try {
    await run.logged('streaming');
    await until(run, 'the jobs are done', async () => (await openJobs(target)) === 0);
    const asked = [...backfill.map((table) => backfillOf(table)), ...verify.map((table) => verificationOf(table))];
    const ids = await requestJobs(target, asked);
    await until(run, 'every table is verified', async () => (await openJobs(target)) === 0);
    const wrong = await refusals(target);
    if (wrong.length === 0) {
      const ended = (await endedOf(target, ids)) ?? [];
      for (const { table, kind, differences } of ended)
        if (kind === 'verify' && differences > 0) wrong.push(`verify found ${differences} differences in ${table}`);
    }
    await run.stop();
    return { wrong, jobs: await doneJobs(target) };
  } finally {
    await run.kill();
    await target.end();
  }
}

async function until(run: RunProcess, what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + patienceMs; !(await holds()); await sleep(50)) {
    if (!run.running) throw new Error(`run has ended; waited until ${what}:\n${run.tail()}`);
    if (Date.now() > deadline) throw new Error(`not within ${patienceMs / 1000} s: ${what}\n${run.tail()}`);
  }
}
