import type { TableChanges } from '../../change/table-changes.ts';

/** More keys of a table than this are not remembered one by one: those of the oldest moments are given up, and any may be among them. */
const mostKeys = 500_000;

interface Generation {
  readonly number: number;
  readonly keys: Set<string>;
  /** Every key counts as touched: the table was emptied, or there were too many. */
  all: boolean;
}

/**
 * Which keys of some tables the stream has brought, by when. A row that is read from a table while it streams is the truth
 * only where the stream brought nothing of its key since before it was read: what the stream brought is as new or newer.
 */
export class ChangeWindows {
  #generation = 0;
  readonly #tables = new Map<string, Generation[]>();

  /** From now on the keys of this table are remembered, until `unwatch`. */
  watch(table: string): void {
    if (!this.#tables.has(table)) this.#tables.set(table, []);
  }

  unwatch(table: string): void {
    this.#tables.delete(table);
  }

  /** A moment to ask about later: whatever is recorded from now on is since then. */
  lowWatermark(): number {
    return ++this.#generation;
  }

  /** The target has these changes, or is about to. */
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

  /** What was recorded of a table since a moment. */
  window(table: string, low: number): ChangeWindow {
    const generations = (this.#tables.get(table) ?? []).filter(({ number }) => number >= low);
    return {
      all: generations.some(({ all }) => all),
      has: (key) => generations.some(({ keys }) => keys.has(key)),
      keys: () => [...new Set(generations.flatMap(({ keys }) => [...keys]))],
    };
  }

  /** Nobody will ask about anything before this moment. */
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

/** Gives the oldest generations up until the others' keys are few enough. */
function bound(generations: Generation[]): void {
  let count = generations.reduce((sum, { keys }) => sum + keys.size, 0);
  for (const generation of generations) {
    if (count <= mostKeys) break;
    count -= generation.keys.size;
    giveUp(generation);
  }
  // Whoever asks about an older one asks about this one, too.
  generations.splice(
    0,
    generations.findLastIndex(({ all }) => all),
  );
}

/** Keys are COPY text of their columns, joined by tabs, as in TableChanges. */
export interface ChangeWindow {
  /** Which ones is not known: it may be any. */
  readonly all: boolean;
  readonly has: (key: string) => boolean;
  readonly keys: () => string[];
}
