import { inject } from 'vitest';
import type { SourceServer, TargetServer } from '../../testing/servers/server.ts';

export interface SharedServers {
  readonly source: Omit<SourceServer, 'stop' | 'restart'>;
  readonly target: Omit<TargetServer, 'stop' | 'restart'>;
}

/** The servers of this test run, started once by global-setup.ts. A suite cannot stop them. */
export function sharedServers(): { source: SourceServer; target: TargetServer } {
  const { source, target } = inject('servers');
  const stop = async () => await Promise.resolve();
  return { source: { ...source, stop }, target: { ...target, stop } };
}
