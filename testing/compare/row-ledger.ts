/** Replaces the hash of a row once its equal is found at the target; a real hash is never empty. */
const met = '';

/** How the rows of two ends pair up. A key is the text that identifies a row; each list names the first few keys of its kind. */
export interface Reconciliation {
  /** Rows that only the source has. */
  readonly missing: number;
  /** Rows that only the target has; `secondKeys` names those whose key the source has too. */
  readonly extra: number;
  readonly different: number;
  readonly missingKeys: readonly string[];
  readonly extraKeys: readonly string[];
  readonly secondKeys: readonly string[];
  readonly differentKeys: readonly string[];
}

/**
 * Pairs the rows of the source with those of the target; all source rows are added first. It holds one hash per key. A key can
 * occur several times: in a table without a primary key, or if different source values become one at the target. Then equal rows
 * are paired before different ones, in whatever order the ends deliver them.
 */
export class RowLedger {
  readonly #examples: number;
  readonly #hashes = new Map<string, string>();
  /** Rows of a key beyond its first, by key and hash, that are not yet matched. */
  readonly #copies = new Map<string, number>();
  /** The number of rows not yet matched, for keys that have several rows. */
  readonly #pending = new Map<string, number>();
  /** Target rows without an equal source row, for keys that the source has. */
  readonly #unequal = new Map<string, number>();
  readonly #extraKeys: string[] = [];
  #rows = 0;
  #equal = 0;
  #extra = 0;

  /** @param examples the number of keys of each kind to name */
  constructor(examples: number) {
    this.#examples = examples;
  }

  addSource(key: string, hash: string): void {
    this.#rows++;
    if (!this.#hashes.has(key)) {
      this.#hashes.set(key, hash);
      return;
    }
    this.#pending.set(key, (this.#pending.get(key) ?? 1) + 1);
    const copy = key + hash;
    this.#copies.set(copy, (this.#copies.get(copy) ?? 0) + 1);
  }

  addTarget(key: string, hash: string): void {
    const expected = this.#hashes.get(key);
    if (expected === undefined) {
      this.#extra++;
      if (this.#extraKeys.length < this.#examples) this.#extraKeys.push(key);
      return;
    }
    if (expected === hash) {
      this.#hashes.set(key, met);
    } else {
      const copies = this.#copies.size === 0 ? 0 : (this.#copies.get(key + hash) ?? 0);
      if (copies === 0) {
        this.#unequal.set(key, (this.#unequal.get(key) ?? 0) + 1);
        return;
      }
      this.#copies.set(key + hash, copies - 1);
    }
    this.#equal++;
    const pending = this.#pending.get(key);
    if (pending !== undefined) this.#pending.set(key, pending - 1);
  }

  /** Call this after all rows of both ends were added. */
  reconcile(): Reconciliation {
    let different = 0;
    let extra = this.#extra;
    const secondKeys: string[] = [];
    const differentKeys: string[] = [];
    for (const [key, unequal] of this.#unequal) {
      const pairs = Math.min(unequal, this.#left(key));
      different += pairs;
      extra += unequal - pairs;
      if (pairs > 0 && differentKeys.length < this.#examples) differentKeys.push(key);
      if (unequal > pairs && secondKeys.length < this.#examples) secondKeys.push(key);
    }
    const missing = this.#rows - this.#equal - different;
    return {
      missing,
      extra,
      different,
      missingKeys: missing > 0 ? this.#missingKeys() : [],
      extraKeys: this.#extraKeys,
      secondKeys,
      differentKeys,
    };
  }

  #missingKeys(): string[] {
    const keys: string[] = [];
    for (const key of this.#hashes.keys()) {
      if (this.#left(key) <= (this.#unequal.get(key) ?? 0)) continue;
      keys.push(key);
      if (keys.length === this.#examples) break;
    }
    return keys;
  }

  /** Source rows of a key that have no equal at the target. */
  #left(key: string): number {
    return this.#pending.get(key) ?? (this.#hashes.get(key) === met ? 0 : 1);
  }
}
