import { hostname } from 'node:os';
import { sql } from 'kysely';
import type { Config } from '../config/config.ts';
import { TargetSession } from '../target/session.ts';

const writeEveryMs = 2_000;

/**
 * Says in the control schema what the service is doing, at every change and every two seconds, for `lag` and for people. A
 * standby says nothing: the row speaks of the one that works. A target that cannot be reached just has an old row, which
 * tells the same.
 */
export class StatusWriter {
  readonly #config: Config;
  readonly #timer: NodeJS.Timeout;
  #state: string | null = null;
  #session: TargetSession | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(config: Config) {
    this.#config = config;
    this.#timer = setInterval(() => this.#enqueue(), writeEveryMs);
  }

  /** What the service does now; null: it is not the one that works. */
  get state(): string | null {
    return this.#state;
  }

  set state(state: string | null) {
    this.#state = state;
    this.#enqueue();
  }

  /** Says that the service stopped, unless it never worked, and ends. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#state !== null) this.state = 'stopped';
    await this.#writing;
    await this.#session?.close();
  }

  #enqueue(): void {
    this.#writing = this.#writing.then(async () => await this.#write());
  }

  async #write(): Promise<void> {
    if (this.#state === null) return;
    try {
      this.#session ??= await TargetSession.open(this.#config.target, 'tidegate status');
      await this.#session.db
        .insertInto('tidegate.status')
        .values({
          replica: this.#config.target.schema,
          state: this.#state,
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
