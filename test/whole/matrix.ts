import { spawn } from 'node:child_process';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';

/**
 * The suites that depend on what a server does, against every server: `npm run test:matrix`. Ends with what passed where, and names servers
 * that cannot be had. Exit code 1 when something failed on one that can.
 */

/** Each brings the servers it is about itself. */
const withTheirOwn = [
  ...[
    'mapping/types',
    'mysql/grants/forbidden-grants',
    'commands/grants',
    'whole/general-log',
    'mysql/guard/read-only',
  ],
  ...['whole/tls', 'mysql/catalog/unique-keys'],
];
/** On the servers of the run. MySQL since 5.7 takes no bytes that are no characters, which dead letters are made of here. */
const anywhere = [
  ...['pipeline/stream/changes', 'mapping/types-keys', 'mapping/column-rules', 'mapping/conversions'],
  'postgres/rows/limits',
];
const beforeMysql57 = [...anywhere, 'postgres/rows/dead-letters'];

const pairs = [
  { source: 'mariadb 10.5', suites: beforeMysql57 },
  { source: 'mariadb 10.11', suites: beforeMysql57 },
  { source: 'mariadb 11.8', suites: beforeMysql57 },
  { source: 'mysql 5.6', suites: beforeMysql57 },
  { source: 'mysql 9.7', suites: anywhere },
] as const;
/** The suites that bring their own also run on 15. */
const target = '18';

process.exitCode = await matrix();

async function matrix(): Promise<number> {
  const lines: string[] = [];
  let failed = false;
  const run = async (what: string, suites: readonly string[], env: Readonly<Record<string, string>>) => {
    const startedAt = Date.now();
    const hasPassed = await vitest(suites, env);
    failed ||= !hasPassed;
    lines.push(`${what}: ${suites.join(', ')} ${hasPassed ? 'passed' : 'FAILED'} in ${minutes(startedAt)}`);
  };
  await run('every server', withTheirOwn, { TIDEGATE_MATRIX: '1' });
  const lackingTarget = await lacking(async () => await startTarget({ version: target }));
  if (lackingTarget !== null) lines.push(`could not be had: PostgreSQL ${target}: ${lackingTarget}`);
  for (const { source, suites } of pairs) {
    const [flavor, version] = source.split(' ') as ['mariadb' | 'mysql', string];
    const reason = await lacking(async () => await startSource({ flavor, version }));
    if (reason !== null) lines.push(`could not be had: ${source}: ${reason}`);
    else
      await run(`${source}${lackingTarget === null ? `, PostgreSQL ${target}` : ''}`, suites, {
        TIDEGATE_TEST_SOURCE: source,
        ...(lackingTarget === null ? { TIDEGATE_TEST_TARGET: target } : {}),
      });
  }
  process.stdout.write(`\n${lines.join('\n')}\n`);
  return failed ? 1 : 0;
}

/** Why a server cannot be had; null: it can. */
async function lacking(start: () => Promise<{ stop(): Promise<void> }>): Promise<string | null> {
  try {
    await (await start()).stop();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function vitest(suites: readonly string[], env: Readonly<Record<string, string>>): Promise<boolean> {
  const files = suites.map((name) => `test/${name}.test.ts`);
  const child = spawn(process.execPath, ['node_modules/.bin/vitest', 'run', ...files], {
    cwd: new URL('../..', import.meta.url),
    env: { ...process.env, ...env },
    stdio: 'inherit',
  });
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code === 0));
  });
}

function minutes(since: number): string {
  return `${((Date.now() - since) / 60_000).toFixed(1)} minutes`;
}
