import type { Config } from '../config/config.ts';
import { configHash } from '../config/config-hash.ts';
import { SourceConnection } from '../mysql/connection.ts';
import type { SourceRole } from '../mysql/wire/guarded-connection.ts';
import { readGrants } from '../mysql/grants/read-grants.ts';
import { readServerFlavor } from '../mysql/server-flavor.ts';
import { type EventKind, recordEvent } from '../postgres/control/events.ts';
import { TargetSession } from '../postgres/session.ts';

/** Records that the service starts to work, its settings, and what its accounts may do at the source. */
export async function recordStart(config: Config, epoch: bigint): Promise<void> {
  const grants = { reader: await grantsOf(config, 'reader'), replicator: await grantsOf(config, 'replicator') };
  await record(config, 'started', { epoch: epoch.toString(), settings: configHash(config), grants });
}

export async function recordStop(config: Config, epoch: bigint, reason: string): Promise<void> {
  await record(config, 'stopped', { epoch: epoch.toString(), reason });
}

async function record(config: Config, kind: EventKind, detail: Record<string, unknown>): Promise<void> {
  const session = await TargetSession.open(config.target, 'tidegate audit');
  try {
    await session.guarded(async () => await recordEvent(session.db, kind, detail));
  } finally {
    await session.close();
  }
}

/** As `SELECT on clinic.*`, with the grantee if that is not the account itself. */
async function grantsOf(config: Config, role: SourceRole): Promise<string[]> {
  const connection = await SourceConnection.open(config.source, role);
  try {
    const { flavor } = await readServerFlavor(connection);
    const { account, grants } = await readGrants(connection, flavor);
    return grants.map(
      ({ privileges, scope, grantee }) =>
        `${privileges.join(', ')} on ${scope}${grantee === account ? '' : ` through ${grantee}`}`,
    );
  } finally {
    await connection.close();
  }
}
