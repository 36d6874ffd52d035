import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { fillClinic } from '../../demo/clinic/fill.ts';
import { clinicTables } from '../../demo/clinic/schema.ts';
import { runTraffic } from '../../demo/clinic/traffic.ts';
import { compareDatabases, isEqual } from '../../testing/compare/compare.ts';
import { RunProcess } from '../../testing/run-process.ts';
import { createReplica } from '../../testing/replica.ts';
import { sharedServers } from '../support/shared-servers.ts';

const seed = Number(process.env['CLINIC_SEED'] ?? 11);

test('a clinic that is copied in business hours, streamed, and resumed after a stop of its service is an exact copy', async () => {
  const { source, target } = sharedServers();
  const replica = await createReplica(source, target);
  const clinic = await replica.sourceAdmin();
  const day = new AbortController();
  let run: RunProcess | undefined;
  try {
    await fillClinic(clinic, seed, 0.3);
    const traffic = runTraffic(clinic, { seed, perSecond: 300, signal: day.signal });
    run = new RunProcess(replica.env);
    await run.logged('streaming');
    await sleep(2000);
    await run.stop();
    // Half a second of work is in the binlog only.
    await sleep(500);
    day.abort();
    expect(await traffic).toBeGreaterThan(100);
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();

    const compared = await compareDatabases({
      source: { host: source.host, port: source.port, user: source.user, password: source.password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    });
    expect(compared.length).toBe(clinicTables.length);
    expect(
      compared.filter((table) => !isEqual(table)),
      `seed ${seed}`,
    ).toEqual([]);
  } finally {
    day.abort();
    await run?.kill();
    clinic.destroy();
    await replica.drop();
  }
});
