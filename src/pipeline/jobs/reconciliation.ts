import { isUtf8 } from 'node:buffer';
import type { Conversion } from '../../change/conversion.ts';
import { toCopyText } from '../../change/copy-text.ts';
import { TableChanges } from '../../change/table-changes.ts';
import type { TableSchema } from '../../definition/table-schema.ts';
import { keyTextOf } from '../../postgres/rows/copy-lines.ts';
import type { JobExample } from '../../postgres/control/control-schema.ts';
import { lineKey, lineStarts } from '../../postgres/rows/line-check.ts';
import type { Difference } from '../../postgres/rows/row-diff.ts';
import type { KeyText } from '../../postgres/rows/table-key.ts';
import type { TargetKeys } from '../../postgres/rows/target-keys.ts';
import type { ChangeWindow } from '../stream/change-window.ts';

/** What a difference between source and target comes to, once the target is where everything stands that the source's rows show. */
export interface Reconciliation {
  /** What makes the target equal to the source. */
  readonly changes: TableChanges;
  readonly counts: Readonly<Record<'missing' | 'extra' | 'different' | 'rejected', number>>;
  /** The first rows that differ. */
  readonly examples: readonly { readonly what: JobExample['what']; readonly key: KeyText }[];
  /** Keys that the stream has brought meanwhile: it has their rows as new or newer. */
  readonly changing: readonly KeyText[];
  /** Keys that the stream may have brought or not: they must be looked at again. */
  readonly unknown: readonly KeyText[];
  /** Keys that the source may have, out of the condition: they must be asked for. */
  readonly outOfCondition: readonly KeyText[];
}

/** What was converted in the source's rows, by their keys. */
export type Converted = ReadonlyMap<string, readonly Conversion[]>;

/**
 * Sorts what differs into what is so and what is left to the stream, whose rows are as new or newer: the keys it has `touched` since
 * before the source was read. `isPart`: the source was asked for rows that meet a condition, and others may be there.
 */
export async function reconcile(
  { lines, missing, different, outdated, rejected, extra }: Difference,
  converted: Converted,
  window: ChangeWindow,
  schema: TableSchema,
  keys: TargetKeys,
  isPart: boolean,
  mostExamples: number,
): Promise<Reconciliation> {
  const width = schema.primaryKey.length;
  const changes = new TableChanges(schema);
  const counts = { missing: 0, extra: 0, different: 0, rejected: 0 };
  const examples: { what: JobExample['what']; key: KeyText }[] = [];
  const changing: KeyText[] = [];
  const unknown: KeyText[] = [];
  const found = (what: JobExample['what'], key: () => KeyText) => {
    counts[what]++;
    if (examples.length < mostExamples) examples.push({ what, key: key() });
  };

  const starts = missing.length + different.length + outdated.length > 0 ? lineStarts(lines) : [];
  const take = (n: number, what: 'missing' | 'different' | 'outdated') => {
    const line = lines.subarray(starts[n], starts[n + 1]);
    const key = lineKey(line, schema);
    if (window.has(key)) {
      if (what !== 'outdated') changing.push(keyTextOf(key, width));
      return;
    }
    if (window.all) {
      unknown.push(keyTextOf(key, width));
      return;
    }
    if (what !== 'outdated') found(what, () => keyTextOf(key, width));
    const start = changes.lines.length;
    changes.lines.plain(line, 0, line.length);
    changes.upsert(what === 'missing' ? 'insert' : 'update', key, start);
    if (what !== 'outdated') changes.converted(converted.get(key) ?? []);
  };
  for (const n of missing) take(n, 'missing');
  for (const n of different) take(n, 'different');
  for (const n of outdated) take(n, 'outdated');
  for (const row of rejected) {
    if (window.has(row.key)) continue;
    // By a key that is no text nobody can be asked again.
    if (window.all && isUtf8(Buffer.from(row.key, 'latin1'))) {
      unknown.push(keyTextOf(row.key, width));
      continue;
    }
    counts.rejected++;
    changes.reject(row);
  }

  if (isPart) return { changes, counts, examples, changing, unknown, outOfCondition: extra };
  const others = extra.length === 0 ? [] : window.keys().map((key) => keyTextOf(key, width));
  const moved = await keys.among(extra, others);
  for (const [index, key] of extra.entries()) {
    if (moved.has(index)) changing.push(key);
    else if (window.all) unknown.push(key);
    else {
      found('extra', () => key);
      changes.delete(copyTextOf(key));
    }
  }
  return { changes, counts, examples, changing, unknown, outOfCondition: [] };
}

function copyTextOf(key: KeyText): string {
  const text = key.map(toCopyText).join('\t');
  return Buffer.from(text, 'utf8').toString('latin1');
}
