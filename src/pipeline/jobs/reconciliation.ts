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

/** The outcome of a difference between source and target, at the high watermark of the source's rows. */
export interface Reconciliation {
  /** What makes the target equal to the source. */
  readonly changes: TableChanges;
  readonly counts: Readonly<Record<'missing' | 'extra' | 'different' | 'rejected', number>>;
  /** The first rows that differ. */
  readonly examples: readonly { readonly what: JobExample['what']; readonly key: KeyText }[];
  /** Keys that the stream has brought meanwhile. Its rows for them are as new or newer. */
  readonly changing: readonly KeyText[];
  /** Keys that the stream may have brought: they must be compared again. */
  readonly unknown: readonly KeyText[];
  /** Keys that the source may have outside the condition: the source must be asked for them. */
  readonly outOfCondition: readonly KeyText[];
}

/** The conversions of the source's rows, by key. */
export type Converted = ReadonlyMap<string, readonly Conversion[]>;

/**
 * Divides what differs into real differences and keys that are left to the stream. Those are the keys in the change `window`, for
 * which the stream's rows are as new or newer. `isPart`: the source was asked only for rows that meet a condition, and may have others.
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
    // The source cannot be asked again by a key that is not valid text.
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
