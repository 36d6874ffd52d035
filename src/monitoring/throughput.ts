/** What was applied, in all. */
export interface Amount {
  readonly transactions: number;
  readonly rows: number;
  readonly bytes: number;
}

const windowSeconds = 10;
const nothing: Amount = { transactions: 0, rows: 0, bytes: 0 };

/** Counts what is applied, and tells how much that was a second lately. */
export class Throughput {
  #total = nothing;
  #marks: { readonly at: number; readonly total: Amount }[] = [{ at: performance.now(), total: nothing }];

  add({ transactions, rows, bytes }: Amount): void {
    const { total } = this;
    this.#total = {
      transactions: total.transactions + transactions,
      rows: total.rows + rows,
      bytes: total.bytes + bytes,
    };
  }

  get total(): Amount {
    return this.#total;
  }

  /** Per second since the call of about ten seconds ago; to be called each second. */
  rate(): Amount {
    const now = performance.now();
    this.#marks.push({ at: now, total: this.#total });
    while (this.#marks.length > windowSeconds + 1) this.#marks.shift();
    const [first] = this.#marks;
    const seconds = first === undefined ? 0 : (now - first.at) / 1000;
    if (first === undefined || seconds <= 0) return nothing;
    const since = (name: keyof Amount) => Math.round(((this.#total[name] - first.total[name]) / seconds) * 10) / 10;
    return { transactions: since('transactions'), rows: since('rows'), bytes: since('bytes') };
  }
}
