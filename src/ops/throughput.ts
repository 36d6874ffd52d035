/** Counts what was applied, in total and since it was last asked. */
export class Throughput {
  #total = { transactions: 0, rows: 0 };
  #taken = { transactions: 0, rows: 0 };

  add(transactions: number, rows: number): void {
    this.#total = { transactions: this.#total.transactions + transactions, rows: this.#total.rows + rows };
  }

  get total(): { transactions: number; rows: number } {
    return this.#total;
  }

  /** What came since the last call. */
  take(): { transactions: number; rows: number } {
    const since = {
      transactions: this.#total.transactions - this.#taken.transactions,
      rows: this.#total.rows - this.#taken.rows,
    };
    this.#taken = this.#total;
    return since;
  }
}
