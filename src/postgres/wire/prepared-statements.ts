/** PostgreSQL keeps a plan for each prepared statement of a session, some 50 KB on average. */
const mostPrepared = 1_000;

/** The name of a statement, and names to close before it is prepared. */
interface Use {
  readonly name: string;
  /** The session may not have it yet. */
  readonly isNew: boolean;
  readonly closes: readonly string[];
}

/** Which statements a session has prepared, by their text. Beyond a limit the one that was used longest ago is closed. */
export class PreparedStatements {
  /** In the order of their last use. */
  readonly #names = new Map<string, { readonly name: string; isCertain: boolean }>();
  #count = 0;

  /** The caller closes and prepares what is needed before it uses the name. */
  use(text: string): Use {
    const known = this.#names.get(text);
    if (known !== undefined) {
      this.#names.delete(text);
      this.#names.set(text, known);
      // The session may have skipped it or failed in it. To close a name that does not exist is no error.
      return known.isCertain ? { ...known, isNew: false, closes: [] } : { ...known, isNew: true, closes: [known.name] };
    }
    const closes: string[] = [];
    const [oldest] = this.#names;
    if (this.#names.size >= mostPrepared && oldest !== undefined) {
      this.#names.delete(oldest[0]);
      closes.push(oldest[1].name);
    }
    const name = `tidegate_${++this.#count}`;
    this.#names.set(text, { name, isCertain: false });
    return { name, isNew: true, closes };
  }

  /** The session has executed this statement. */
  confirm(text: string): void {
    const known = this.#names.get(text);
    if (known !== undefined) known.isCertain = true;
  }
}
