import type { Reading } from '../session.ts';

/** Whether the operator has paused the replica, as last read. */
export class PauseSwitch {
  #isPaused = false;
  #abort = new AbortController();
  #resumed = Promise.withResolvers<void>();

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Aborts on a pause. Each resume creates a new signal. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Resolves on the next resume. */
  get resumed(): Promise<void> {
    return this.#resumed.promise;
  }

  set(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#abort.abort();
    else {
      this.#resumed.resolve();
      this.#resumed = Promise.withResolvers<void>();
      this.#abort = new AbortController();
    }
  }
}

/** Whether the operator has paused the replica. */
export async function isPaused(db: Reading): Promise<boolean> {
  const row = await db.selectFrom('controls').select('paused').executeTakeFirst();
  return row?.paused === true;
}
