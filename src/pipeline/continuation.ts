import { TidegateError } from '../errors/tidegate-error.ts';
import type { SourceConnection } from '../source/connection.ts';
import { assertReachable } from '../source/positions.ts';
import type { ServerFlavor } from '../source/server-flavor.ts';
import type { Checkpoint } from '../target/checkpoint.ts';
import { startsByGtid } from './stream.ts';

/** Makes sure that the stream can go on from a checkpoint. Raises source-changed or position-lost. */
export async function assertContinues(
  replicator: SourceConnection,
  server: ServerFlavor,
  { position, sourceIdentity }: Checkpoint,
): Promise<void> {
  const byGtid = startsByGtid(server, position);
  // GTIDs are the same on every server of a replication group; files and offsets are one server's own.
  if (!byGtid && sourceIdentity !== server.identity)
    throw new TidegateError('source-changed', 'the server behind the source address is another one than before');
  await assertReachable(replicator, server, position, byGtid, sourceIdentity !== server.identity);
}
