import { constants, setPriority } from 'node:os';
import { Command, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { adopt } from './commands/adopt.ts';
import { backfill } from './commands/backfill.ts';
import { check } from './commands/check.ts';
import { discard, listDeadLetters, retry } from './commands/dead-letters.ts';
import { grants } from './commands/grants.ts';
import { cancel, listJobs } from './commands/jobs.ts';
import { lag } from './commands/lag.ts';
import { jobIds, nonNegative, notEmpty, notEmptyText, positiveWhole } from './commands/option-values.ts';
import { pauseOrResume } from './commands/pause.ts';
import { tell } from './commands/print.ts';
import { reset } from './commands/reset.ts';
import { resync } from './commands/resync.ts';
import { run } from './commands/run.ts';
import { verify } from './commands/verify.ts';
import type { Config } from './config/config.ts';
import { addEnvFile } from './config/env-file.ts';
import { loadConfig } from './config/load-config.ts';
import { describeError } from './errors/describe-error.ts';
import { TidegateError } from './errors/tidegate-error.ts';
import { parseVersion } from './mysql/server-version.ts';

// Tidegate may run on the source's machine, where other programs have priority.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

// A reader of the output may close it early (`tidegate check | head`). The work and its exit code do not change.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return;
    throw new TidegateError('output-failed', `the output cannot be written (${error.code})`, { cause: error });
  });

/** Exit code of a command that failed. */
let failureCode = 1;
/** Exit code of a `lag` that failed: 1 already means "beyond the limit". */
const lagUnknown = 2;

function settings(): Config {
  return loadConfig(process.env, addEnvFile(process.env));
}

interface BackfillFlags {
  readonly all?: true;
  readonly suspended?: true;
  readonly where?: string;
  readonly detach?: true;
  readonly json?: true;
  readonly yes?: true;
}

const privileged = [
  '--allow-privileged-source',
  'in development: accept source accounts that may do more than read, with a warning',
] as const;

const program = new Command('tidegate')
  .description(packageJson.description)
  .version(packageJson.version)
  .showHelpAfterError('(add --help for the commands and options)')
  .addHelpText('after', '\nSettings come from the environment or from .env. .env.template explains each setting.');

program
  .command('check')
  .description('test the connections, grants, server settings and tables; print every finding with its remedy')
  .option('--json', 'print the findings as JSON')
  .option(...privileged)
  .addHelpText(
    'after',
    '\nExit code: 0 ready, 1 not ready.\n\nExamples:\n  tidegate check\n  tidegate check --json | jq .findings',
  )
  .action(async (options: { json?: true; allowPrivilegedSource?: true }) => {
    process.exitCode = await check(settings(), {
      json: options.json === true,
      allowPrivilegedSource: options.allowPrivilegedSource === true,
    });
  });

program
  .command('grants')
  .description(
    'print the SQL that creates the source accounts and the target role, with a placeholder for each password',
  )
  .addOption(new Option('--for <side>', 'print the SQL of one server only').choices(['source', 'target']))
  .option(
    '--from-host <pattern>',
    "host part of the source accounts (default: this machine's address as the source sees it)",
    notEmpty,
  )
  .addOption(
    new Option('--flavor <name>', 'print SQL for this kind of server, without asking the source').choices([
      'mariadb',
      'mysql',
    ]),
  )
  .option('--server-version <x.y>', 'version of that server; requires --flavor')
  .addHelpText(
    'after',
    '\nThe command asks the source only for its version, which needs no account.\nExit code: 0 printed, 1 failed.\n\nExamples:\n  tidegate grants\n  tidegate grants --for source --from-host 10.0.0.%\n  tidegate grants --flavor mysql --server-version 8.4',
  )
  .action(
    async (options: {
      for?: 'source' | 'target';
      fromHost?: string;
      flavor?: 'mariadb' | 'mysql';
      serverVersion?: string;
    }) => {
      const { flavor, serverVersion } = options;
      const server = flavor === undefined || serverVersion === undefined ? null : parseVersion(flavor, serverVersion);
      if (server === null && (flavor ?? serverVersion) !== undefined)
        program.error(
          'error: give --flavor and --server-version together, as in --flavor mariadb --server-version 10.11',
        );
      process.exitCode = await grants(settings(), {
        side: options.for ?? null,
        server,
        fromHost: options.fromHost ?? null,
      });
    },
  );

program
  .command('run')
  .description('copy the tables that are missing, then stream; a second instance on the same target waits as standby')
  .option('--until-caught-up', 'stop when the target has everything that the source had at the end of the snapshot')
  .option(...privileged)
  .addHelpText(
    'after',
    '\nSIGTERM or SIGINT stops it at the next commit; a second signal stops it at once.\nExit code: 0 stopped, 1 failed, 2 refused by the checks.\n\nExamples:\n  tidegate run\n  tidegate run --until-caught-up',
  )
  .action(async (options: { untilCaughtUp?: true; allowPrivilegedSource?: true }) => {
    const config = settings();
    process.exitCode = await run(config, {
      untilCaughtUp: options.untilCaughtUp === true,
      allowPrivilegedSource: options.allowPrivilegedSource === true,
    });
  });

const yesToDeleting = ['--yes', 'in production: do not ask before a large share of a table is deleted'] as const;

program
  .command('backfill [table...]')
  .description('read tables again while they stream, and repair rows that differ; also resumes suspended tables')
  .option('--all', 'all tables')
  .option('--suspended', 'all suspended tables')
  .option('--where <condition>', 'only rows that match, such as "AptDateTime >= \'2026-01-01\'"', notEmptyText)
  .option('--detach', 'do not wait for the end; `jobs` shows the progress')
  .option('--json', 'print JSON')
  .option(...yesToDeleting)
  .addHelpText(
    'after',
    '\nA running service does the work. If none runs, this command does it and streams meanwhile. Ctrl-C cancels it.\nExit code: 0 done, 1 failed or cancelled.\n\nExamples:\n  tidegate backfill appointment\n  tidegate backfill --all\n  tidegate backfill --suspended\n  tidegate backfill appointment --where "AptDateTime >= \'2026-01-01\'"',
  )
  .action(async (tables: string[], options: BackfillFlags) => {
    process.exitCode = await backfill(settings(), tables, {
      all: options.all === true,
      suspended: options.suspended === true,
      where: options.where ?? null,
      yes: options.yes === true,
      detach: options.detach === true,
      json: options.json === true,
    });
  });

program
  .command('verify [table...]')
  .description('compare every row of the source and the target by value, while they stream; without a name, all tables')
  .option('--repair', 'repair rows that differ')
  .option('--json', 'print JSON')
  .option(...yesToDeleting)
  .addHelpText(
    'after',
    '\nA row that differs is compared again when the stream has caught up, so a change in transit is no difference.\nExit code: 0 equal or repaired, 1 not equal or failed.\n\nExamples:\n  tidegate verify\n  tidegate verify appointment patient --json\n  tidegate verify --repair',
  )
  .action(async (tables: string[], options: { repair?: true; json?: true; yes?: true }) => {
    process.exitCode = await verify(settings(), tables, {
      repair: options.repair === true,
      json: options.json === true,
      yes: options.yes === true,
    });
  });

program
  .command('resync')
  .description(
    'after the source was restored, replaced or lost its binlog: make the target equal to it again, in place',
  )
  .option('--yes', 'in production: do not ask for confirmation')
  .option('--detach', 'do not read the tables now; the next `run` does it')
  .addHelpText(
    'after',
    '\nNothing is dropped, the target stays readable, and views keep working. Stop the service first.\nExit code: 0 done, 1 failed.\n\nExample:\n  tidegate resync',
  )
  .action(async (options: { yes?: true; detach?: true }) => {
    process.exitCode = await resync(settings(), {
      yes: options.yes === true,
      detach: options.detach === true,
    });
  });

const jobs = program.command('jobs').description('list and cancel backfills and verifications');

jobs
  .command('list', { isDefault: true })
  .description('list running and recent jobs, each with its state, its result, and who requested it')
  .option('--json', 'print JSON')
  .option('--limit <n>', 'how many jobs to print', positiveWhole, 20)
  .addHelpText('after', '\nExample:\n  tidegate jobs')
  .action(async (options: { json?: true; limit: number }) => {
    process.exitCode = await listJobs(settings(), { json: options.json === true, limit: options.limit });
  });

jobs
  .command('cancel')
  .argument('<id...>', 'job ids, as `jobs` shows them', jobIds)
  .description('cancel jobs; rows that they repaired stay repaired')
  .addHelpText('after', '\nExit code: 0 done, 1 failed.\n\nExample:\n  tidegate jobs cancel 17')
  .action(async (ids: string[]) => {
    process.exitCode = await cancel(settings(), ids);
  });

program
  .command('lag')
  .description('show how far the target is behind the source')
  .option('--json', 'print JSON')
  .option('--max-seconds <n>', 'exit with 1 if the target is further behind', nonNegative)
  .option('--watch', 'print the lag every two seconds until Ctrl-C')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : lagUnknown))
  .addHelpText(
    'after',
    '\nThe command needs no running service. It answers within five seconds.\nExit code: 0 within the limit, 1 beyond it, 2 unknown.\n\nExamples:\n  tidegate lag --watch\n  tidegate lag --json\n  tidegate lag --max-seconds 60',
  )
  .action(async (options: { json?: true; maxSeconds?: number; watch?: true }) => {
    failureCode = lagUnknown;
    process.exitCode = await lag(settings(), {
      json: options.json === true,
      maxSeconds: options.maxSeconds ?? null,
      watch: options.watch === true,
    });
  });

program
  .command('pause')
  .description('stop reading the source, also after a restart, until `resume`; no change is lost')
  .addHelpText(
    'after',
    '\nThe service finishes the current chunk or batch, then reads nothing more. The source must keep its binlog until `resume`.\nExit code: 0 done, 1 failed.\n\nExample:\n  tidegate pause',
  )
  .action(async () => {
    process.exitCode = await pauseOrResume(settings(), true);
  });

program
  .command('resume')
  .description('continue after `pause`')
  .addHelpText('after', '\nExit code: 0 done, 1 failed.\n\nExample:\n  tidegate resume')
  .action(async () => {
    process.exitCode = await pauseOrResume(settings(), false);
  });

program
  .command('reset')
  .description(
    'drop the tables that Tidegate created at the target and forget the checkpoint; the source does not change',
  )
  .option('--yes', 'in production: do not ask for confirmation')
  .addHelpText('after', '\nExit code: 0 done, 1 failed.\n\nExample:\n  tidegate reset && tidegate run')
  .action(async (options: { yes?: true }) => {
    process.exitCode = await reset(settings(), { yes: options.yes === true });
  });

program
  .command('adopt')
  .description(
    'after a restore of the target from a dump: take over tables with the columns, key and owner of those that Tidegate made',
  )
  .option('--yes', 'in production: do not ask for confirmation')
  .addHelpText(
    'after',
    '\nA restored table has another identity, so Tidegate leaves it alone until it is adopted.\nExit code: 0 done, 1 failed or not all fit.\n\nExample:\n  tidegate adopt',
  )
  .action(async (options: { yes?: true }) => {
    process.exitCode = await adopt(settings(), { yes: options.yes === true });
  });

const deadLetters = program
  .command('dead-letters')
  .description('list, retry or discard dead letters: rows that the target cannot hold; all other rows are replicated');

deadLetters
  .command('list [table...]')
  .description('list the reasons with their counts, then each dead letter, oldest first')
  .option('--json', 'print JSON')
  .option('--limit <n>', 'how many dead letters to print', positiveWhole, 50)
  .addHelpText(
    'after',
    '\nKeys that contain text are not printed. The table dead_letters has them in column key, and the rows in column row.\nIt is in the control schema, named tidegate_ and the target schema, such as tidegate_raw.\n\nExample:\n  tidegate dead-letters list appointment',
  )
  .action(async (tables: string[], options: { json?: true; limit: number }) => {
    process.exitCode = await listDeadLetters(settings(), tables, {
      json: options.json === true,
      limit: options.limit,
    });
  });

deadLetters
  .command('retry [table...]')
  .description(
    'write dead letters again, for example after a constraint at the target was dropped; the service may run',
  )
  .addHelpText(
    'after',
    '\nExit code: 0 none is left, 1 some are left.\n\nExample:\n  tidegate dead-letters retry appointment',
  )
  .action(async (tables: string[]) => {
    process.exitCode = await retry(settings(), tables);
  });

deadLetters
  .command('discard [table...]')
  .description('forget dead letters; their rows stay missing or old at the target until the source changes them')
  .option('--yes', 'in production: do not ask for confirmation')
  .addHelpText('after', '\nExit code: 0 done, 1 failed.\n\nExample:\n  tidegate dead-letters discard appointment')
  .action(async (tables: string[], options: { yes?: true }) => {
    process.exitCode = await discard(settings(), tables, { yes: options.yes === true });
  });

function fail(error: unknown): void {
  const { kind, message, hint, stack } = describeError(error);
  // Wrong settings are a list. All other messages are one line, whatever a name in them holds.
  const lines = kind === 'config' ? message.split('\n') : [message];
  lines[0] = `tidegate: ${lines[0]}`;
  tell(...lines, ...(hint === undefined ? [] : [hint]), ...(stack?.split('\n') ?? []));
  process.exitCode = failureCode;
}

// Node would print the error with everything that drivers attach: the statement, the server's message, the row.
process.on('uncaughtException', (error) => {
  fail(error);
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  fail(error);
}
