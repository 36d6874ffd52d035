import { afterAll, expect, it } from 'vitest';
import { RunProcess } from '../../../testing/run-process.ts';
import { startSource } from '../../../testing/servers/source.ts';
import type { SourceServer } from '../../../testing/servers/server.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { runCli } from '../../support/cli.ts';
import { sharedServers } from '../../support/shared-servers.ts';

const cleanUps: (() => Promise<void>)[] = [];

afterAll(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
});

/** Two replicas of one source use the same SOURCE_SERVER_ID: the server ends the connection of the earlier one. */
it.each([
  ['mariadb', 'server-id-taken'],
  // MySQL uses one error number for this and other errors; the hint explains how to distinguish them.
  ['mysql', 'binlog-unreadable'],
] as const)(
  '%s: a server id that another replica takes ends the run with a hint; another number, as it says, streams',
  async (flavor, kind) => {
    const { source: shared, target } = sharedServers();
    const source: SourceServer = flavor === 'mariadb' ? shared : await startSource({ flavor });
    if (flavor === 'mysql') cleanUps.push(async () => await source.stop());
    const replicas: Replica[] = [];
    for (let count = 0; count < 2; count++) {
      const replica = await createReplica(source, target);
      cleanUps.push(async () => await replica.drop());
      replicas.push(replica);
      const admin = await replica.sourceAdmin();
      await admin.query('create table patient (PatNum bigint not null primary key) engine=InnoDB');
      await admin.end();
    }
    const start = ({ env }: Replica, id = '4000000052'): RunProcess => {
      const run = new RunProcess({ ...env, SOURCE_SERVER_ID: id });
      cleanUps.push(async () => await run.kill());
      return run;
    };
    const [first, second] = replicas as [Replica, Replica];
    const earlier = start(first);
    await earlier.logged('streaming');
    const later = start(second);
    await later.logged('streaming');

    expect((await earlier.exited).code).toBe(1);
    const end = earlier.lines
      .map(({ err }) => err as { kind: string; hint: string } | undefined)
      .find((err) => err !== undefined);
    expect(end).toMatchObject({ kind, hint: expect.stringContaining('SOURCE_SERVER_ID') as string });
    // As the hint says, check finds nothing about the position, and another number is enough.
    const { stdout } = await runCli(['check', '--json'], first.env);
    expect(stdout).not.toContain('"error"');
    const again = start(first, '4000000053');
    await again.logged('streaming');
    await again.stop();
    expect(later.running).toBe(true);
  },
);
