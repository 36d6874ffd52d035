import { expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { loadConfig } from '../../src/config/load-config.ts';
import { Metrics } from '../../src/monitoring/metrics.ts';
import { Monitor } from '../../src/monitoring/monitor.ts';
import { createReplica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';

test('a first copy that hardly reads because the source is busy says so, until another state follows', async () => {
  const { source, target } = sharedServers();
  const replica = await createReplica(source, target);
  const monitor = new Monitor(loadConfig(replica.env), new Metrics(packageJson.version), () => undefined);
  try {
    monitor.enter('snapshotting');
    monitor.slowed(true);
    await monitor.measured();
    expect(monitor.document?.lag).toMatchObject({
      state: 'snapshotting',
      reason: 'source-busy',
      remedy: expect.stringContaining('SOURCE_BUSY_AT'),
    });
    monitor.slowed(false);
    expect(monitor.document?.lag.reason).toBeNull();
    monitor.slowed(true);
    monitor.enter('catching-up');
    monitor.enter('snapshotting');
    expect(monitor.document?.lag.reason).toBeNull();
  } finally {
    await monitor.close();
    await replica.drop();
  }
});
