/** What was applied in total. */
export interface Amount {
  readonly transactions: number;
  readonly rows: number;
  readonly bytes: number;
}

const windowSeconds = 10;
const nothing: Amount = { transactions: 0, rows: 0, bytes: 0 };

/** Counts what is applied, and computes the recent rate. */
export class Throughput {
  #total = nothing;
  #samples: { readonly at: number; readonly total: Amount }[] = [{ at: performance.now(), total: nothing }];

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

  /** The rate per second over the last ten calls. Call it once a second. */
  rate(): Amount {
    const now = performance.now();
    this.#samples.push({ at: now, total: this.#total });
    while (this.#samples.length > windowSeconds + 1) this.#samples.shift();
    const [first] = this.#samples;
    const seconds = first === undefined ? 0 : (now - first.at) / 1000;
    if (first === undefined || seconds <= 0) return nothing;
    const perSecond = (name: keyof Amount) => Math.round(((this.#total[name] - first.total[name]) / seconds) * 10) / 10;
    return { transactions: perSecond('transactions'), rows: perSecond('rows'), bytes: perSecond('bytes') };
  }
}
