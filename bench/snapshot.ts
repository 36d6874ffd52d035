import type { BenchContext } from './context.ts';
import { type PipeEnd, runPipe } from './client-pipe.ts';
import { insertMeasuredRows, measuredColumns, measuredTableDdl, measuredTargetDdl } from './measured-table.ts';
import { MeasuredRun } from './measured-run.ts';
import { type BenchResult, formatRate, rate } from './report.ts';
import { median } from './statistics.ts';
import { createReplica, type Replica } from '../testing/replica.ts';

const bar = 0.85;

/**
 * Compares a first snapshot of one large table with the fastest use of the two client programs: `mariadb --quick | psql copy`.
 * Both sides write into a table with a primary key. They take turns, and the medians count.
 */
export async function snapshot(context: BenchContext): Promise<BenchResult> {
  const { source, target, quick, say } = context;
  const rows = quick ? 300_000 : 1_000_000;
  const rounds = quick ? 1 : 3;
  const replica = await createReplica(source, target);
  try {
    const admin = await replica.sourceAdmin();
    try {
      await admin.query(measuredTableDdl('treatment'));
      say(`snapshot: filling ${rows} rows`);
      await insertMeasuredRows(admin, 'treatment', 1, rows, 10_000);
    } finally {
      await admin.end();
    }
    const pipeMs: number[] = [];
    const copyMs: number[] = [];
    const wallMs: number[] = [];
    for (let round = 1; round <= rounds; round++) {
      await replica.targetAdmin.query('drop table if exists public.treatment');
      await replica.targetAdmin.query(measuredTargetDdl('public.treatment'));
      pipeMs.push(await runPipe(sourceEnd(context, replica.database), targetEnd(context, replica.database)));
      await replica.targetAdmin.query('drop table public.treatment');
      await forget(replica);
      const run = new MeasuredRun(replica.env, ['--until-caught-up']);
      try {
        await run.succeeded();
      } finally {
        await run.kill();
      }
      wallMs.push(Date.now() - run.spawnedAt);
      copyMs.push(run.loggedAt('snapshot finished') - run.loggedAt('snapshot started'));
      say(
        `snapshot: round ${round}: pipe ${Math.round(pipeMs.at(-1) ?? 0)} ms, tidegate ${copyMs.at(-1)} ms (entire run ${wallMs.at(-1)} ms)`,
      );
    }
    // The two sides of a round ran one after the other, so other load on the machine affects both.
    const ratios = pipeMs.map((ms, round) => ms / (copyMs[round] ?? Number.NaN));
    const ratio = median(ratios);
    return {
      lines: [
        { bench: 'snapshot', what: `mariadb | psql copy, ${rows} rows`, value: formatRate(rate(rows, median(pipeMs))) },
        {
          bench: 'snapshot',
          what: 'tidegate, snapshot started to finished',
          value: formatRate(rate(rows, median(copyMs))),
        },
        {
          bench: 'snapshot',
          what: 'tidegate, entire run with start-up',
          value: formatRate(rate(rows, median(wallMs))),
        },
        {
          bench: 'snapshot',
          what: 'tidegate / client pipe',
          value: `${ratio.toFixed(2)} x (${ratios.map((each) => each.toFixed(2)).join(', ')})`,
          bar: `>= ${bar} x`,
          met: ratio >= bar,
        },
      ],
      figures: { rows, pipeMs, copyMs, wallMs, ratios, ratio },
    };
  } finally {
    await replica.drop();
  }
}

/** Resets the target, so that the next run starts with a snapshot again. */
async function forget(replica: Replica): Promise<void> {
  await replica.targetAdmin.query(`drop schema if exists "${replica.schema}" cascade`);
  await replica.targetAdmin.query('drop schema if exists tidegate cascade');
}

function sourceEnd({ source }: BenchContext, database: string): PipeEnd {
  if (source.clientCommand === undefined)
    throw new Error('this bench needs the mariadb client program, which came with no server here');
  const account = [
    '--no-defaults',
    '--protocol=tcp',
    `--host=${source.host}`,
    `--port=${source.port}`,
    `--user=${source.user}`,
  ];
  const query = `set time_zone = '+00:00'; select ${measuredColumns} from treatment`;
  return {
    command: [
      ...source.clientCommand,
      ...account,
      '--default-character-set=utf8mb4',
      '-q',
      '-N',
      '-B',
      database,
      '-e',
      query,
    ],
    env: { MYSQL_PWD: source.password },
  };
}

function targetEnd({ target }: BenchContext, database: string): PipeEnd {
  if (target.psqlCommand === undefined) throw new Error('this bench needs psql, which came with no server here');
  return {
    command: [
      ...target.psqlCommand,
      '-X',
      '-q',
      '-h',
      target.host,
      '-p',
      String(target.port),
      '-U',
      target.user,
      '-d',
      database,
      '-c',
      `copy public.treatment (${measuredColumns}) from stdin`,
    ],
    env: { PGPASSWORD: target.password, PGTZ: 'UTC' },
  };
}
