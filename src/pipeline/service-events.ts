import type { Config } from '../config/config.ts';
import { configHash } from '../config/config-hash.ts';
import { type Scope, inPart } from '../lifetime/scope.ts';
import { SourceConnection } from '../mysql/connection.ts';
import type { SourceRole } from '../mysql/wire/guarded-connection.ts';
import { readGrants } from '../mysql/grants/read-grants.ts';
import { readServerFlavor } from '../mysql/server-flavor.ts';
import { type EventKind, recordEvent } from '../postgres/control/events.ts';
import { Fence } from '../postgres/control/fence.ts';

/** Records that the service starts to work, its settings, and what its accounts may do at the source. */
export async function recordStart(scope: Scope, config: Config, epoch: bigint): Promise<void> {
  const grants = {
    reader: await grantsOf(scope, config, 'reader'),
    replicator: await grantsOf(scope, config, 'replicator'),
  };
  await record(scope, config, epoch, 'started', { settings: configHash(config), grants });
}

export async function recordStop(scope: Scope, config: Config, epoch: bigint, reason: string): Promise<void> {
  await record(scope, config, epoch, 'stopped', { reason });
}

async function record(
  scope: Scope,
  config: Config,
  epoch: bigint,
  kind: EventKind,
  detail: Record<string, unknown>,
): Promise<void> {
  await inPart(scope, async (part) => {
    const fence = await Fence.open(part, config.target, 'lead', epoch);
    await fence.transaction(async (trx) => await recordEvent(trx, kind, { epoch: epoch.toString(), ...detail }));
  });
}

/** As `SELECT on clinic.*`, with the grantee if that is not the account itself. */
async function grantsOf(scope: Scope, config: Config, role: SourceRole): Promise<string[]> {
  return await inPart(scope, async (part) => {
    const connection = await SourceConnection.open(part, config.source, role);
    const { flavor } = await readServerFlavor(connection);
    const { account, grants } = await readGrants(connection, flavor);
    return grants.map(
      ({ privileges, scope, grantee }) =>
        `${privileges.join(', ')} on ${scope}${grantee === account ? '' : ` through ${grantee}`}`,
    );
  });
}
