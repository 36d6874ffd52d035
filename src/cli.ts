#!/usr/bin/env node
import { Command, InvalidArgumentError } from 'commander';
import { config as loadDotenv } from 'dotenv';
import packageJson from '../package.json' with { type: 'json' };
import { check } from './commands/check.ts';
import { lag } from './commands/lag.ts';
import { reset } from './commands/reset.ts';
import { run } from './commands/run.ts';
import { loadConfig } from './config/load-config.ts';
import { describeError } from './errors/describe-error.ts';
import { createLog } from './ops/log.ts';

loadDotenv({ quiet: true });

// Whoever reads our output may leave early (`tidegate check | head`): the work and its exit code stay the same.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

/** Exit code of a command that could not do its work. */
let failureCode = 1;
/** For `lag` 1 is an answer, "beyond the limit", so all that keeps it from one is 2. */
const lagUnknown = 2;

function nonNegative(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new InvalidArgumentError('It must be a number of seconds.');
  return Number(text);
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
    process.exitCode = await check(loadConfig(process.env), {
      json: options.json === true,
      allowPrivilegedSource: options.allowPrivilegedSource === true,
    });
  });

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
    const config = loadConfig(process.env);
    process.exitCode = await run(config, createLog(config.logLevel), {
      untilCaughtUp: options.untilCaughtUp === true,
      allowPrivilegedSource: options.allowPrivilegedSource === true,
    });
  });

program
  .command('lag')
  .description('how far the target is behind the source')
  .option('--json', 'print JSON')
  .option('--max-seconds <n>', 'exit 1 when further behind than this', nonNegative)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : lagUnknown))
  .addHelpText(
    'after',
    '\nExit code: 0 within the limit, 1 beyond it, 2 unknown.\n\nExamples:\n  tidegate lag\n  tidegate lag --json\n  tidegate lag --max-seconds 60',
  )
  .action(async (options: { json?: true; maxSeconds?: number }) => {
    failureCode = lagUnknown;
    process.exitCode = await lag(loadConfig(process.env), {
      json: options.json === true,
      maxSeconds: options.maxSeconds ?? null,
    });
  });

program
  .command('reset')
  .description('drop what Tidegate made at the target and forget the checkpoint; the source is never touched')
  .option('--yes', 'do not ask for the typed confirmation that production demands')
  .addHelpText('after', '\nExit code: 0 done, 1 not.\n\nExample:\n  tidegate reset && tidegate run')
  .action(async (options: { yes?: true }) => {
    process.exitCode = await reset(loadConfig(process.env), { yes: options.yes === true });
  });

try {
  await program.parseAsync();
} catch (error) {
  const { message, hint, stack } = describeError(error);
  process.stderr.write(
    `tidegate: ${message}\n${hint === undefined ? '' : `${hint}\n`}${stack === undefined ? '' : `${stack}\n`}`,
  );
  process.exitCode = failureCode;
}
