import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';
import type { Scope as ScopeType } from '../../../src/lifetime/scope.ts';
import { Scope } from '../../../src/lifetime/scope.ts';
import { recordEvent } from '../../../src/postgres/control/events.ts';
import { Fence } from '../../../src/postgres/control/fence.ts';
import { Lease } from '../../../src/postgres/control/lease.ts';
import { migrateControlSchema } from '../../../src/postgres/control/migrate.ts';
import { resetReplica } from '../../../src/postgres/control/reset.ts';
import { sqlStateOf } from '../../../src/errors/postgres-errors.ts';
import { TargetSession, WritingSession } from '../../../src/postgres/session.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { Proxy } from '../../support/proxy.ts';
import { sharedServers } from '../../support/shared-servers.ts';
import { targetConfig } from '../../support/target-config.ts';

const { source, target } = sharedServers();
let replica: Replica | undefined;
let scope: ScopeType | undefined;

afterEach(async () => {
  await scope?.[Symbol.asyncDispose]();
  await replica?.drop();
  replica = scope = undefined;
});

async function begin() {
  const own = (replica = await createReplica(source, target));
  const opened = (scope = new Scope());
  const config = targetConfig(own.env);
  await migrateControlSchema(await WritingSession.open(opened, config));
  return { own, scope: opened, config };
}

async function taken(opened: ScopeType, config: ReturnType<typeof targetConfig>): Promise<Lease> {
  const lease = await Lease.tryAcquire(opened, config);
  if (lease === null) throw new Error('the lease is not free');
  return lease;
}

const write = async (fence: Fence) =>
  await fence.transaction(async (trx) => await recordEvent(trx, 'started', { epoch: 'test' }));

test('a former lease holder commits nothing, whatever it writes, also after a reset', async () => {
  const { own, scope: opened, config } = await begin();
  const events = async () => (await own.targetAdmin.query('select from tidegate_raw.events')).rowCount;
  const first = await taken(opened, config);
  const stale = await Fence.open(opened, config, 'lead', first.epoch);
  await write(stale);
  expect(await events()).toBe(1);
  await first.release();
  const second = await taken(opened, config);
  await expect(write(await Fence.open(opened, config, 'lead', first.epoch))).rejects.toMatchObject({
    kind: 'lease-lost',
  });
  expect(await events()).toBe(1);
  await write(await Fence.open(opened, config, 'lead', second.epoch));
  expect(await events()).toBe(2);
  await second.release();
  await resetReplica(opened, config, [], 'not asked');
  await expect(write(await Fence.open(opened, config, 'lead', second.epoch))).rejects.toMatchObject({
    kind: 'lease-lost',
  });
});

test('a new holder waits for a transaction that has passed its fence, and no renewal does', async () => {
  const { own, scope: opened, config } = await begin();
  const lease = await taken(opened, config);
  const fence = await Fence.open(opened, config, 'stream', lease.epoch);
  const locked = await own.targetAdmin.query('select pg_advisory_lock(7)');
  expect(locked.rowCount).toBe(1);
  // A deferred trigger runs within the commit, after the fence.
  await own.targetAdmin.query(`
    create function public.wait_here() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return null; end $$;
    create constraint trigger waits after insert on tidegate_raw.events deferrable initially deferred
      for each row execute function public.wait_here()`);
  const written = write(fence);
  const waiting = async (count: number) => {
    for (const deadline = Date.now() + 30_000; Date.now() < deadline;) {
      const { rows } = await own.targetAdmin.query<{ n: string }>(
        `select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      if (Number(rows[0]?.n) === count) return;
    }
    throw new Error(`not ${count} sessions wait`);
  };
  await waiting(1);
  await lease.assertHeld();
  // The same statement as another holder's: the lease has a new epoch.
  const admin = own.targetAdmin;
  const epoch = async () =>
    (await admin.query<{ epoch: string }>('select epoch from tidegate_raw.lease')).rows[0]?.epoch;
  const other = await WritingSession.open(opened, config);
  const raised = other.transaction(
    async (trx) => await sql`update tidegate_raw.lease set epoch = epoch + 1`.execute(trx),
  );
  await waiting(2);
  expect(await epoch()).toBe(lease.epoch.toString());
  await admin.query('select pg_advisory_unlock(7)');
  await written;
  await raised;
  expect(await epoch()).toBe((lease.epoch + 1n).toString());
  await expect(lease.assertHeld()).rejects.toMatchObject({ kind: 'lease-lost' });
});

test('a holder that falls silent in its last transaction does not keep the lease', async () => {
  const { own, scope: opened, config } = await begin();
  await using proxy = await Proxy.start(target);
  // Its process ends: it does not end its session at PostgreSQL itself.
  await using ending = new Scope();
  const through = { ...own.env, TARGET_DB_HOST: proxy.host, TARGET_DB_PORT: String(proxy.port) };
  const first = await taken(ending, targetConfig(through));
  ending.stop('the process ends');
  const frozen = proxy.faultAtPacket('freeze', 1, (packet) => packet.includes('commit'));
  await first.release();
  expect(frozen.isMet).toBe(true);
  const second = await Lease.acquire(opened, config, 'not asked');
  expect(second.epoch).toBeGreaterThan(first.epoch);
  await second.release();
});

test('PostgreSQL itself holds a session that reads to reading', async () => {
  const { scope: opened, config } = await begin();
  const session = await TargetSession.open(opened, config);
  const refused = await sql`insert into tidegate_raw.events (kind, detail) values ('started', '{}')`
    .execute(session.db)
    .then(
      () => null,
      (error: unknown) => sqlStateOf(error),
    );
  expect(refused).toBe('25006');
});
