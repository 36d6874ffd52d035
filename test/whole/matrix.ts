import { spawn } from 'node:child_process';
import { startSource } from '../../testing/servers/source.ts';
import { startTarget } from '../../testing/servers/target.ts';

/**
 * Runs the suites that depend on the server against every supported server: `npm run test:matrix`. At the end it prints what
 * passed on each server, and names unavailable servers. Exit code 1 if something failed on an available one.
 */

/** These suites start their own servers. */
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
/**
 * These run on the servers of the run. The dead-letter suite needs bytes that are no characters, and MySQL since 5.7 refuses
 * these.
 */
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
/** The suites with their own servers also run on 15. */
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
  if (lackingTarget !== null) lines.push(`not available: PostgreSQL ${target}: ${lackingTarget}`);
  for (const { source, suites } of pairs) {
    const [flavor, version] = source.split(' ') as ['mariadb' | 'mysql', string];
    const reason = await lacking(async () => await startSource({ flavor, version }));
    if (reason !== null) lines.push(`not available: ${source}: ${reason}`);
    else
      await run(`${source}${lackingTarget === null ? `, PostgreSQL ${target}` : ''}`, suites, {
        TIDEGATE_TEST_SOURCE: source,
        ...(lackingTarget === null ? { TIDEGATE_TEST_TARGET: target } : {}),
      });
  }
  process.stdout.write(`\n${lines.join('\n')}\n`);
  return failed ? 1 : 0;
}

/** Why a server is not available; null if it is. */
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
