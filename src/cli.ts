import { constants, setPriority } from 'node:os';
import { Command, Option } from 'commander';
import packageJson from '../package.json' with { type: 'json' };
import { backfill } from './commands/backfill.ts';
import { check } from './commands/check.ts';
import { discard, listDeadLetters, retry } from './commands/dead-letters.ts';
import { grants } from './commands/grants.ts';
import { cancel, listJobs } from './commands/jobs.ts';
import { lag } from './commands/lag.ts';
import { jobIds, nonNegative, notEmpty, notEmptyText, positiveWhole } from './commands/option-values.ts';
import { pauseOrResume } from './commands/pause.ts';
import { reset } from './commands/reset.ts';
import { resync } from './commands/resync.ts';
import { run } from './commands/run.ts';
import { verify } from './commands/verify.ts';
import type { Config } from './config/config.ts';
import { addEnvFile } from './config/env-file.ts';
import { loadConfig } from './config/load-config.ts';
import { describeError } from './errors/describe-error.ts';
import { parseVersion } from './mysql/server-version.ts';

// Where this machine is the source's, too, those who work there come first.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

// Whoever reads our output may leave early (`tidegate check | head`): the work and its exit code stay the same.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

/** Exit code of a command that could not do its work. */
let failureCode = 1;
/** For `lag` 1 is an answer, "beyond the limit", so all that keeps it from one is 2. */
const lagUnknown = 2;

function settings(): Config {
  addEnvFile(process.env);
  return loadConfig(process.env);
}

const privileged = [
  '--allow-privileged-source',
  'in development: warn of source accounts that may do more than read, instead of refusing them',
] as const;

const program = new Command('tidegate')
  .description(packageJson.description)
  .version(packageJson.version)
  .showHelpAfterError('(add --help for what there is)')
  .addHelpText('after', '\nSettings come from the environment or from .env; .env.template explains each.');

program
  .command('check')
  .description(
    'test each connection, the grants, the server settings, and the tables; print every finding with its remedy',
  )
  .option('--json', 'print the findings as JSON')
  .option(...privileged)
  .addHelpText(
    'after',
    '\nExit code: 0 ready, 1 not.\n\nExamples:\n  tidegate check\n  tidegate check --json | jq .findings',
  )
  .action(async (options: { json?: true; allowPrivilegedSource?: true }) => {
    process.exitCode = await check(settings(), {
      json: options.json === true,
      allowPrivilegedSource: options.allowPrivilegedSource === true,
    });
  });

program
  .command('grants')
  .description('print the SQL that makes the source accounts and the target role, with … for the passwords')
  .addOption(
    new Option('--for <side>', 'print one side only, to pipe it into its server').choices(['source', 'target']),
  )
  .option(
    '--from-host <pattern>',
    "host part of the source accounts (default: this machine's address as seen there)",
    notEmpty,
  )
  .addOption(
    new Option('--flavor <name>', 'print for such a server instead of asking the source').choices(['mariadb', 'mysql']),
  )
  .option('--server-version <x.y>', 'its version, with --flavor')
  .addHelpText(
    'after',
    '\nThe source is asked for its version only, for which no account is needed.\nExit code: 0 printed, 1 not.\n\nExamples:\n  tidegate grants\n  tidegate grants --for source --from-host 10.0.0.%\n  tidegate grants --flavor mysql --server-version 8.4',
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
          'error: --flavor and --server-version go together, as in --flavor mariadb --server-version 10.11',
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
  .description('snapshot what is missing, then stream; a second instance on the same target waits as standby')
  .option('--until-caught-up', 'end once the target has what the source had when the snapshot was complete')
  .option(...privileged)
  .addHelpText(
    'after',
    '\nSIGTERM or SIGINT stops at the next commit; a second one at once.\nExit code: 0 stopped, 1 failed, 2 refused by the checks.\n\nExamples:\n  tidegate run\n  tidegate run --until-caught-up',
  )
  .action(async (options: { untilCaughtUp?: true; allowPrivilegedSource?: true }) => {
    const config = settings();
    process.exitCode = await run(config, {
      untilCaughtUp: options.untilCaughtUp === true,
      allowPrivilegedSource: options.allowPrivilegedSource === true,
    });
  });

const yesToDeleting = [
  '--yes',
  'in production: let it delete however many rows the source does not have, without asking',
] as const;

program
  .command('backfill [table...]')
  .description(
    'read tables again while they stream, and repair what differs at the target; also takes suspended tables back',
  )
  .option('--all', 'every table')
  .option('--where <condition>', 'only rows that meet it, such as "AptDateTime >= \'2026-01-01\'"', notEmptyText)
  .option('--detach', 'do not wait for the end; `jobs` shows how far it is')
  .option('--json', 'print JSON')
  .option(...yesToDeleting)
  .addHelpText(
    'after',
    '\nA running service does it; where there is none, this command does it and streams meanwhile. Ctrl-C cancels it.\nExit code: 0 done, 1 not.\n\nExamples:\n  tidegate backfill appointment\n  tidegate backfill --all\n  tidegate backfill appointment --where "AptDateTime >= \'2026-01-01\'"',
  )
  .action(async (tables: string[], options: { all?: true; where?: string; detach?: true; json?: true; yes?: true }) => {
    process.exitCode = await backfill(settings(), tables, {
      all: options.all === true,
      where: options.where ?? null,
      yes: options.yes === true,
      detach: options.detach === true,
      json: options.json === true,
    });
  });

program
  .command('verify [table...]')
  .description(
    'compare every row of the source and the target by value, while they stream; all tables if none is named',
  )
  .option('--repair', 'repair what differs')
  .option('--json', 'print JSON')
  .option(...yesToDeleting)
  .addHelpText(
    'after',
    '\nA row that differs is looked at again once the stream has passed it, so what is only on its way is no difference.\nExit code: 0 equal, or repaired; 1 not.\n\nExamples:\n  tidegate verify\n  tidegate verify appointment patient --json\n  tidegate verify --repair',
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
    'after the source was restored, replaced or has lost its binlog: make the target equal to it as it is now, in place',
  )
  .option('--yes', 'do not ask for the typed confirmation that production demands')
  .option('--detach', 'leave the reading to the next `run`')
  .addHelpText(
    'after',
    '\nNothing is dropped, and the target stays readable; views keep working. No service may be running.\nExit code: 0 done, 1 not.\n\nExample:\n  tidegate resync',
  )
  .action(async (options: { yes?: true; detach?: true }) => {
    process.exitCode = await resync(settings(), {
      yes: options.yes === true,
      detach: options.detach === true,
    });
  });

const jobs = program
  .command('jobs')
  .description('backfills and verifications: those under way and the last that ended');

jobs
  .command('list', { isDefault: true })
  .description('each with its state, what it found, and who asked for it')
  .option('--json', 'print JSON')
  .option('--limit <n>', 'print so many', positiveWhole, 20)
  .addHelpText('after', '\nExample:\n  tidegate jobs')
  .action(async (options: { json?: true; limit: number }) => {
    process.exitCode = await listJobs(settings(), { json: options.json === true, limit: options.limit });
  });

jobs
  .command('cancel')
  .argument('<id...>', 'as `jobs` shows them', jobIds)
  .description('end them; what they repaired stays repaired')
  .addHelpText('after', '\nExit code: 0 done, 1 not.\n\nExample:\n  tidegate jobs cancel 17')
  .action(async (ids: string[]) => {
    process.exitCode = await cancel(settings(), ids);
  });

program
  .command('lag')
  .description('how far the target is behind the source')
  .option('--json', 'print JSON')
  .option('--max-seconds <n>', 'exit 1 when further behind than this', nonNegative)
  .option('--watch', 'print it every two seconds until Ctrl-C')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : lagUnknown))
  .addHelpText(
    'after',
    '\nIt needs no running service, and answers within five seconds.\nExit code: 0 within the limit, 1 beyond it, 2 unknown.\n\nExamples:\n  tidegate lag --watch\n  tidegate lag --json\n  tidegate lag --max-seconds 60',
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
  .description('leave the source alone, at once and also after a restart, until `resume`; nothing is lost meanwhile')
  .addHelpText(
    'after',
    '\nThe service finishes the chunk or batch under way and reads nothing more. The source must keep its binlog until it goes on.\nExit code: 0 done, 1 not.\n\nExample:\n  tidegate pause',
  )
  .action(async () => {
    process.exitCode = await pauseOrResume(settings(), true);
  });

program
  .command('resume')
  .description('go on after `pause`')
  .addHelpText('after', '\nExit code: 0 done, 1 not.\n\nExample:\n  tidegate resume')
  .action(async () => {
    process.exitCode = await pauseOrResume(settings(), false);
  });

program
  .command('reset')
  .description('drop what Tidegate made at the target and forget the checkpoint; the source is never touched')
  .option('--yes', 'do not ask for the typed confirmation that production demands')
  .addHelpText('after', '\nExit code: 0 done, 1 not.\n\nExample:\n  tidegate reset && tidegate run')
  .action(async (options: { yes?: true }) => {
    process.exitCode = await reset(settings(), { yes: options.yes === true });
  });

const deadLetters = program
  .command('dead-letters')
  .description('rows that could not be carried: they are kept at the target, and the rest goes on without them');

deadLetters
  .command('list [table...]')
  .description('how many there are and why, then each, oldest first')
  .option('--json', 'print JSON')
  .option('--limit <n>', 'print so many', positiveWhole, 50)
  .addHelpText(
    'after',
    '\nA key that holds text is not printed; the column key of tidegate.dead_letters has it, and row the row.\n\nExample:\n  tidegate dead-letters list appointment',
  )
  .action(async (tables: string[], options: { json?: true; limit: number }) => {
    process.exitCode = await listDeadLetters(settings(), tables, {
      json: options.json === true,
      limit: options.limit,
    });
  });

deadLetters
  .command('retry [table...]')
  .description('write them once more, as after a constraint at the target was dropped; the service may run meanwhile')
  .addHelpText(
    'after',
    '\nExit code: 0 none is left, 1 some are.\n\nExample:\n  tidegate dead-letters retry appointment',
  )
  .action(async (tables: string[]) => {
    process.exitCode = await retry(settings(), tables);
  });

deadLetters
  .command('discard [table...]')
  .description('forget them; their rows stay missing or old at the target until the source changes them')
  .option('--yes', 'do not ask for the typed confirmation that production demands')
  .addHelpText('after', '\nExit code: 0 done, 1 not.\n\nExample:\n  tidegate dead-letters discard appointment')
  .action(async (tables: string[], options: { yes?: true }) => {
    process.exitCode = await discard(settings(), tables, { yes: options.yes === true });
  });

function fail(error: unknown): void {
  const { message, hint, stack } = describeError(error);
  process.stderr.write(
    `tidegate: ${message}\n${hint === undefined ? '' : `${hint}\n`}${stack === undefined ? '' : `${stack}\n`}`,
  );
  process.exitCode = failureCode;
}

// Node would print the error with all that drivers hang on it: the statement, the server's message, the row.
process.on('uncaughtException', (error) => {
  fail(error);
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  fail(error);
}
