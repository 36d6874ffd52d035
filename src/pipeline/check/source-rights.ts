import type { Config, SourceConfig } from '../../config/config.ts';
import type { Finding } from '../../errors/finding.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import { checkReaderGrants, checkReplicatorGrants, privilegedSource } from '../../mysql/grants/check-grants.ts';
import type { Grants } from '../../mysql/grants/grants.ts';
import { readEffectiveRights, readGrants } from '../../mysql/grants/read-grants.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import type { ServerVersion } from '../../mysql/server-version.ts';

type Flavor = ServerFlavor['flavor'];

/** What is wrong with the rights of the reader. */
export async function judgeReader(
  connection: SourceConnection,
  flavor: Flavor,
  source: SourceConfig,
): Promise<Finding[]> {
  const grants = await readGrants(connection, flavor);
  const rights = await readEffectiveRights(connection, source.database);
  return checkReaderGrants(grants, { source, server: versionOf(connection, flavor) }, rights);
}

/** What is wrong with the rights of the replicator, and these rights. */
export async function judgeReplicator(
  connection: SourceConnection,
  flavor: Flavor,
  source: SourceConfig,
): Promise<{ grants: Grants; findings: Finding[] }> {
  const grants = await readGrants(connection, flavor);
  const rights = await readEffectiveRights(connection, source.database);
  const server = versionOf(connection, flavor);
  return { grants, findings: checkReplicatorGrants(grants, { source, server }, rights) };
}

/** A server whose version cannot be parsed is taken for a current one. */
function versionOf({ version }: SourceConnection, flavor: Flavor): ServerVersion {
  return version ?? { flavor, major: 10, minor: 5 };
}

/** Whether source accounts may have too many rights. Never in production. */
export function toleratesPrivileges(config: Config, allowPrivilegedSource: boolean): boolean {
  return allowPrivilegedSource && config.environment === 'development';
}

/** Raises privileged-source if an account may do more than it should: rights may have been granted since the last connection. */
export async function assertOnlyReads(
  { reader, replicator, server }: { reader: SourceConnection; replicator: SourceConnection; server: ServerFlavor },
  { source }: Config,
): Promise<void> {
  const findings = [
    ...(await judgeReader(reader, server.flavor, source)),
    ...(await judgeReplicator(replicator, server.flavor, source)).findings,
  ];
  const excess = findings.filter(({ level, kind }) => level === 'error' && kind === privilegedSource);
  if (excess.length === 0) return;
  throw new TidegateError('privileged-source', `source: ${excess.map(({ message }) => message).join('; ')}`);
}
