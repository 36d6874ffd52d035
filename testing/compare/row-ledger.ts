/** Stands for the hash of a row whose equal was met at the target; no hash is empty. */
const met = '';

/** How the rows of two ends pair up. A key is text that tells rows apart; the lists name the first few keys of their kind. */
export interface Reconciliation {
  /** Rows that only the source has. */
  readonly missing: number;
  /** Rows that only the target has, `second` those among them whose key the source does have. */
  readonly extra: number;
  readonly different: number;
  readonly missingKeys: readonly string[];
  readonly extraKeys: readonly string[];
  readonly secondKeys: readonly string[];
  readonly differentKeys: readonly string[];
}

/**
 * Pairs the rows of the source, which are all added first, with those of the target. Holds a hash for each key. A key may come
 * more than once, in a table without a primary key or where values that differ at the source become one at the target; then
 * equal rows are paired before different ones, whatever order either end reads them in.
 */
export class RowLedger {
  readonly #examples: number;
  readonly #hashes = new Map<string, string>();
  /** Rows of a key beyond its first, by key and hash, as long as they are not met. */
  readonly #copies = new Map<string, number>();
  /** Rows not yet met, of keys that have several. */
  readonly #pending = new Map<string, number>();
  /** Target rows no equal was found for, of keys that the source has. */
  readonly #unequal = new Map<string, number>();
  readonly #extraKeys: string[] = [];
  #rows = 0;
  #equal = 0;
  #extra = 0;

  /** @param examples how many keys of a kind to name */
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

  /** To be asked once both ends were read. */
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

  /** Rows of a key at the source that no equal was found for. */
  #left(key: string): number {
    return this.#pending.get(key) ?? (this.#hashes.get(key) === met ? 0 : 1);
  }
}
