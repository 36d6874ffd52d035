import type { TestProject } from 'vitest/node';
import { startSource } from '../../sandbox/servers/source.ts';
import { startTarget } from '../../sandbox/servers/target.ts';
import type { SharedServers } from './shared-servers.ts';

declare module 'vitest' {
  interface ProvidedContext {
    servers: SharedServers;
  }
}

/** One source and one target for the whole run; each suite makes databases of its own on them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const source = await startSource();
  const target = await startTarget();
  // Only what can be copied to another process: not the functions that stop them.
  const { stop: stopSource, ...sourceFacts } = source;
  const { stop: stopTarget, ...targetFacts } = target;
  project.provide('servers', { source: sourceFacts, target: targetFacts });
  return async () => {
    await stopSource();
    await stopTarget();
  };
}
