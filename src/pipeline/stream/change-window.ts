import type { TableChanges } from '../../change/table-changes.ts';

/** The most keys recorded per table. Beyond it the keys of the oldest generations are discarded, and any key may be among them. */
const mostKeys = 500_000;

interface Generation {
  readonly number: number;
  readonly keys: Set<string>;
  /** Every key counts as changed: the table was emptied, or there were too many keys. */
  all: boolean;
}

/**
 * Records which keys of the watched tables the stream has brought, and when. A row that is read beside the stream is correct if its key is
 * not in the read's change window. Otherwise the stream's row is as new or newer.
 *
 * Invariant: the change window since a low watermark contains every key that the stream brought after it, or it reports `all`. This
 * holds until `forget` discards that low watermark.
 */
export class ChangeWindows {
  #generation = 0;
  readonly #tables = new Map<string, Generation[]>();

  /** From now on the changed keys of this table are recorded, until `unwatch`. */
  watch(table: string): void {
    if (!this.#tables.has(table)) this.#tables.set(table, []);
  }

  unwatch(table: string): void {
    this.#tables.delete(table);
  }

  /** Takes a low watermark. Everything that is recorded from now on is since then. */
  lowWatermark(): number {
    return ++this.#generation;
  }

  /** The target has these changes, or gets them now. */
  record(changes: TableChanges): void {
    const generations = this.#tables.get(changes.schema.table);
    if (generations === undefined) return;
    let last = generations.at(-1);
    if (last?.number !== this.#generation)
      generations.push((last = { number: this.#generation, keys: new Set(), all: false }));
    if (changes.truncated) giveUp(last);
    if (!last.all) {
      for (const key of changes.keys) last.keys.add(key);
      for (const { key } of changes.rejected) last.keys.add(key);
    }
    bound(generations);
  }

  /** The changed keys of a table since a low watermark. */
  window(table: string, low: number): ChangeWindow {
    const generations = (this.#tables.get(table) ?? []).filter(({ number }) => number >= low);
    return {
      all: generations.some(({ all }) => all),
      has: (key) => generations.some(({ keys }) => keys.has(key)),
      keys: () => [...new Set(generations.flatMap(({ keys }) => [...keys]))],
    };
  }

  /** Discards what was recorded before this low watermark. Later windows start at it or after it. */
  forget(table: string, before: number): void {
    const generations = this.#tables.get(table);
    if (generations === undefined) return;
    const kept = generations.findIndex(({ number }) => number >= before);
    generations.splice(0, kept < 0 ? generations.length : kept);
  }
}

function giveUp(generation: Generation): void {
  generation.all = true;
  generation.keys.clear();
}

/** Discards the keys of the oldest generations until the rest is within the limit. */
function bound(generations: Generation[]): void {
  let count = generations.reduce((sum, { keys }) => sum + keys.size, 0);
  for (const generation of generations) {
    if (count <= mostKeys) break;
    count -= generation.keys.size;
    giveUp(generation);
  }
  // A window since an older generation contains this one, too.
  generations.splice(
    0,
    generations.findLastIndex(({ all }) => all),
  );
}

/** Keys are COPY text of their columns, joined by tabs, as in TableChanges. */
export interface ChangeWindow {
  /** The changed keys are not known: any key may have changed. */
  readonly all: boolean;
  readonly has: (key: string) => boolean;
  readonly keys: () => string[];
}
