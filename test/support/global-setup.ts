import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { bundleProgram } from '../../testing/program.ts';
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
 * Starts one source and one target for the entire run; each suite creates its own databases on them. At the end it checks the
 * general logs of all sources of all suites: they may contain only statements that docs/safety.md lists.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const logs = await mkdtemp(join(tmpdir(), 'tidegate-general-log-'));
  process.env['TIDEGATE_GENERAL_LOG'] = logs;
  const [source, target] = await Promise.all([
    startSource(wantedSource()),
    startTarget(wantedTarget()),
    bundleProgram(),
  ]);
  // Only data can be copied to another process, not functions.
  const { stop: stopSource, restart: _, ...sourceFacts } = source;
  const { stop: stopTarget, restart: __, ...targetFacts } = target;
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

/** The value of TIDEGATE_TEST_SOURCE, for example `mysql 9.7`. */
function wantedSource(): SourceOptions {
  const [flavor, version] = (process.env['TIDEGATE_TEST_SOURCE'] ?? '').split(' ');
  return flavor === 'mariadb' || flavor === 'mysql' ? { flavor, ...(version === undefined ? {} : { version }) } : {};
}

/** The value of TIDEGATE_TEST_TARGET, a major version. */
function wantedTarget(): TargetOptions {
  const version = process.env['TIDEGATE_TEST_TARGET'];
  return version === undefined ? {} : { version };
}

/** Throws an error that lists the forbidden statements. A server may log elsewhere; then its own suite checks the log. */
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
    throw new Error(`docs/safety.md does not list these statements sent to sources:\n  ${[...unlisted].join('\n  ')}`);
}
