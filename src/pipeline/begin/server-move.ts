import type { Position } from '../../change/position.ts';
import type { ServerFlavor } from '../../mysql/server-flavor.ts';
import { type Checkpoint, moveToServer } from '../../postgres/control/checkpoint.ts';
import { recordEvent } from '../../postgres/control/events.ts';
import type { Fence } from '../../postgres/control/fence.ts';
import { forgetPositions } from '../../postgres/control/table-states.ts';

/** Lower than every position. Files and offsets of one server mean nothing on another. */
const nowhere = { file: '', offset: 0 } as const;

/**
 * The source address leads to a different server than before, where the stream can continue by GTID. Every position known by file and
 * offset is forgotten. The first batch from the new server brings a new position. Returns the changed checkpoint.
 */
export async function moveToOtherServer(
  fence: Fence,
  server: ServerFlavor,
  checkpoint: Checkpoint,
): Promise<Checkpoint> {
  const position: Position = { ...nowhere, gtid: checkpoint.position.gtid };
  await fence.transaction(async (trx) => {
    await forgetPositions(trx, nowhere);
    await moveToServer(trx, position, server.identity);
    await recordEvent(trx, 'server-changed', { from: checkpoint.sourceIdentity, to: server.identity });
  });
  return { ...checkpoint, position, sourceIdentity: server.identity };
}
