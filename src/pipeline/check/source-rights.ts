import type { Config } from '../../config/config.ts';
import type { Finding } from '../../errors/finding.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { SourceConnection } from '../../mysql/connection.ts';
import { checkReaderGrants, checkReplicatorGrants, privilegedSource } from '../../mysql/grants/check-grants.ts';
import type { Grants } from '../../mysql/grants/grants.ts';
import { readEffectiveRights, readGrants } from '../../mysql/grants/read-grants.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';

type Flavor = ServerFlavor['flavor'];

/** What is wrong with the rights of the reader. */
export async function judgeReader(connection: SourceConnection, flavor: Flavor, database: string): Promise<Finding[]> {
  const grants = await readGrants(connection, flavor);
  return checkReaderGrants(grants, database, await readEffectiveRights(connection, database));
}

/** What is wrong with the rights of the replicator, and these rights. */
export async function judgeReplicator(
  connection: SourceConnection,
  flavor: Flavor,
  database: string,
): Promise<{ grants: Grants; findings: Finding[] }> {
  const grants = await readGrants(connection, flavor);
  const rights = await readEffectiveRights(connection, database);
  return { grants, findings: checkReplicatorGrants(grants, flavor, database, rights) };
}

/** Whether source accounts may have too many rights. Never in production. */
export function toleratesPrivileges(config: Config, allowPrivilegedSource: boolean): boolean {
  return allowPrivilegedSource && config.environment === 'development';
}

/** Raises privileged-source if an account may do more than it should: rights may have been granted since the last connection. */
export async function assertOnlyReads(
  { reader, replicator, server }: { reader: SourceConnection; replicator: SourceConnection; server: ServerFlavor },
  { source: { database } }: Config,
): Promise<void> {
  const findings = [
    ...(await judgeReader(reader, server.flavor, database)),
    ...(await judgeReplicator(replicator, server.flavor, database)).findings,
  ];
  const excess = findings.filter(({ level, kind }) => level === 'error' && kind === privilegedSource);
  if (excess.length === 0) return;
  throw new TidegateError('privileged-source', `source: ${excess.map(({ message }) => message).join('; ')}`, {
    hint: `The service goes on within a minute after this: ${excess.map(({ remedy }) => remedy).join(' ')}`,
  });
}
