import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type SourceOptions, startSource } from '../../testing/servers/source.ts';
import { type TargetOptions, startTarget } from '../../testing/servers/target.ts';
import { readLogFile } from '../whole/general-log/log-file.ts';
import { judge } from '../whole/general-log/logged.ts';
import type { SharedServers } from './shared-servers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    servers: SharedServers;
  }
}

/**
 * One source and one target for the whole run; each suite makes databases of its own on them. What Tidegate asked of whatever
 * source in whatever suite is judged at the end: nothing may be in a general log that docs/safety.md does not list.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const logs = await mkdtemp(join(tmpdir(), 'tidegate-general-log-'));
  process.env['TIDEGATE_GENERAL_LOG'] = logs;
  const source = await startSource(wantedSource());
  const target = await startTarget(wantedTarget());
  // Only what can be copied to another process: not the functions that stop them.
  const { stop: stopSource, ...sourceFacts } = source;
  const { stop: stopTarget, ...targetFacts } = target;
  project.provide('servers', { source: sourceFacts, target: targetFacts });
  return async () => {
    await stopSource();
    await stopTarget();
    try {
      await judgeLogs(logs);
    } finally {
      await rm(logs, { recursive: true });
    }
  };
}

/** TIDEGATE_TEST_SOURCE, as in `mysql 9.7`. */
function wantedSource(): SourceOptions {
  const [flavor, version] = (process.env['TIDEGATE_TEST_SOURCE'] ?? '').split(' ');
  return flavor === 'mariadb' || flavor === 'mysql' ? { flavor, ...(version === undefined ? {} : { version }) } : {};
}

/** TIDEGATE_TEST_TARGET, a major version. */
function wantedTarget(): TargetOptions {
  const version = process.env['TIDEGATE_TEST_TARGET'];
  return version === undefined ? {} : { version };
}

/** Raises an error that lists what must not be there. A server may put its log elsewhere, where its own suite looks at it. */
async function judgeLogs(folder: string): Promise<void> {
  const unlisted = new Set<string>();
  const seen = { servers: 0, statements: 0 };
  for (const file of await readdir(folder)) {
    seen.servers++;
    const counted = async function* () {
      for await (const logged of readLogFile(join(folder, file))) {
        seen.statements++;
        yield logged;
      }
    };
    for (const found of (await judge(counted())).unlisted) unlisted.add(found);
  }
  process.stdout.write(`general logs of ${seen.servers} sources: ${seen.statements} statements of Tidegate\n`);
  if (unlisted.size > 0)
    throw new Error(`docs/safety.md does not list what sources were asked:\n  ${[...unlisted].join('\n  ')}`);
}
