import { hostname } from 'node:os';
import { sql } from 'kysely';
import type { Config } from '../config/config.ts';
import { TargetSession } from '../target/session.ts';

const writeEveryMs = 2_000;

/**
 * Says in the control schema, every two seconds, that the service lives and what it is doing, for `lag` and for people. A
 * standby says nothing: the row speaks of the one that works. A target that cannot be reached just has an old row, which
 * tells the same.
 */
export class StatusWriter {
  state = 'checking';
  readonly #config: Config;
  #session: TargetSession | null = null;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(config: Config) {
    this.#config = config;
    this.#timer = setInterval(() => {
      this.#writing = this.#writing.then(async () => await this.#write());
    }, writeEveryMs);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
    await this.#write();
    await this.#session?.close();
  }

  async #write(): Promise<void> {
    if (this.state === 'standby') return;
    try {
      this.#session ??= await TargetSession.open(this.#config.target, 'tidegate status');
      await this.#session.db
        .insertInto('tidegate.status')
        .values({
          replica: this.#config.target.schema,
          state: this.state,
          updated_at: sql`now()`,
          detail: JSON.stringify({ host: hostname(), pid: process.pid }),
        })
        .onConflict((conflict) =>
          conflict
            .column('replica')
            .doUpdateSet({ state: sql`excluded.state`, updated_at: sql`now()`, detail: sql`excluded.detail` }),
        )
        .execute();
    } catch {
      // Before the first migration there is no such table, and an unreachable target is reported by those who need it.
      await this.#session?.close();
      this.#session = null;
    }
  }
}
