import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { type SourceServer, type TargetServer, restart } from '../../../testing/servers/server.ts';

const readyMs = 60_000;

/** Kills a server and returns once it is back. */
export async function killServer(
  side: 'source' | 'target',
  { source, target }: { readonly source: SourceServer; readonly target: TargetServer },
  random: SeededRandom,
): Promise<string> {
  if (side === 'source') {
    await restart(source, 'SIGKILL');
    return 'source';
  }
  if (random.chance(0.5)) {
    await restart(target, 'SIGKILL');
    return 'target';
  }
  await killSession(target, random);
  return 'target, one session';
}

/** PostgreSQL ends every session when one dies, recovers and goes on, all by itself. */
async function killSession(server: TargetServer, random: SeededRandom): Promise<void> {
  const { host, port, user, password } = server;
  const open = async () => {
    const client = new Client({ host, port, user, password, database: 'postgres' });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const admin = await open();
  const { rows } = await admin.query<{ pid: number }>(
    `select pid from pg_stat_activity where backend_type = 'client backend'`,
  );
  process.kill(random.pick(rows).pid, 'SIGKILL');
  while (await isAlive(admin)) await sleep(10);
  await admin.end();
  for (const deadline = Date.now() + readyMs; ; await sleep(50)) {
    try {
      await (await open()).end();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

async function isAlive(client: Client): Promise<boolean> {
  return await client.query('select').then(
    () => true,
    () => false,
  );
}
