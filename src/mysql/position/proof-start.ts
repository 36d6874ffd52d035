import { type Position, comparePositions } from '../../change/position.ts';
import { type Witness, lastOfDomains, sequenceOf } from '../../change/witness.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { SourceConnection } from '../connection.ts';
import { quoteText } from '../identifiers.ts';
import type { PositionFlavor } from '../server-flavor.ts';
import { assertReachable, startsByGtid } from './positions.ts';

/** Where a dump starts so that the source shows the remembered groups again. */
export interface ProofStart {
  readonly start: Position;
  /** The groups that it shows. Empty: it starts at the checkpoint, and nothing is proven. */
  readonly witnesses: readonly Witness[];
}

/**
 * Finds the start of a dump that begins with the groups that were applied last. If the source has purged them, it starts at the checkpoint.
 * Raises source-diverged if the source does not have them.
 */
export async function proofStart(
  replicator: SourceConnection,
  server: PositionFlavor,
  checkpoint: Position,
  witnesses: readonly Witness[],
): Promise<ProofStart> {
  const unproven = { start: checkpoint, witnesses: [] };
  const byGtid = startsByGtid(server, checkpoint);
  const usable = witnesses.filter(({ gtid, before, file }) =>
    byGtid ? gtid !== null && (server.flavor === 'mysql' || before !== null) : file !== '' && checkpoint.file !== '',
  );
  const [first] = usable.toSorted(comparePositions);
  if (first === undefined) return unproven;
  // Files and offsets of another server mean nothing here.
  const within = checkpoint.file === '' ? { file: '', offset: 0 } : { file: first.file, offset: first.offset };
  const gtid = byGtid ? await startGtid(replicator, server, checkpoint.gtid ?? '', usable) : checkpoint.gtid;
  const start = {
    ...within,
    gtid,
    ...(within.file === checkpoint.file && checkpoint.fileBegan !== undefined
      ? { fileBegan: checkpoint.fileBegan }
      : {}),
  };
  try {
    await assertReachable(replicator, server, start, byGtid);
  } catch (error) {
    if (error instanceof TidegateError && error.kind === 'position-lost') return unproven;
    throw error;
  }
  return { start, witnesses: usable };
}

/** What was applied before the witnesses, in the notation of the server. */
async function startGtid(
  replicator: SourceConnection,
  { flavor }: PositionFlavor,
  applied: string,
  witnesses: readonly Witness[],
): Promise<string> {
  if (flavor === 'mysql') {
    const shown = witnesses.map(({ gtid }) => gtid).join(',');
    const [row] = await replicator.query(`select gtid_subtract(${quoteText(applied)}, ${quoteText(shown)}) as gtid`);
    return (row?.['gtid'] ?? '').replaceAll(/\s/g, '');
  }
  const last = lastOfDomains(applied);
  const isMoved = new Set<string>();
  for (const { gtid, before } of witnesses) {
    const domain = sequenceOf(gtid);
    if (before === null || isMoved.has(domain)) continue;
    isMoved.add(domain);
    last.set(domain, before);
  }
  return [...last.values()].join(',');
}
