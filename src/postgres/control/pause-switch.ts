/** Whether the operator wants work to rest, as last heard. */
export class PauseSwitch {
  #isPaused = false;
  #abort = new AbortController();
  #resumed = Promise.withResolvers<void>();

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Aborts when work is to rest; a new one after each resume. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Resolves once work may go on. */
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
