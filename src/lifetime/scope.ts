import { TidegateError } from '../errors/tidegate-error.ts';

/** What a scope can own. */
export interface Closable {
  /** Says goodbye. Returns within seconds, whatever the other side does. */
  close(): Promise<void>;
  /** Breaks it off at once. What waits for it fails. */
  destroy(): void;
}

/** A thing that can only be destroyed, such as a socket that is being connected. */
export function breakable(destroy: () => unknown): Closable {
  const breakOff = () => {
    destroy();
  };
  return { destroy: breakOff, close: async () => await Promise.resolve(breakOff()) };
}

/** A connection whose server should answer and sends nothing. */
export interface Silence {
  readonly side: 'source' | 'target';
}

/**
 * Owns the lifetime of what is opened in it: connections, and scopes of parts of the work.
 *
 * Invariant: nothing that was opened in a scope outlives it. Nothing in it keeps a listener or a reference after it was closed.
 *
 * A scope ends in two steps. `stop` asks the work to come to its next commit; `hangUp` destroys every connection, so that whatever
 * still waits for a server fails at once.
 */
export class Scope implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #parent: Scope | null;
  readonly #children = new Set<Scope>();
  readonly #open = new Set<Closable>();
  readonly #silent = new Set<Silence>();
  #drain: NodeJS.Timeout | undefined;
  #hungUp: { readonly reason: unknown } | null = null;
  /** Called when a server falls silent, and when it speaks again. */
  onSilence: (silence: Silence | null) => void = () => undefined;

  constructor(parent: Scope | null = null) {
    this.#parent = parent;
    if (parent === null) return;
    parent.#children.add(this);
    if (parent.signal.aborted) this.#stop.abort(parent.signal.reason);
    this.#hungUp = parent.#hungUp;
  }

  /** Aborts when the work is to stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** A server that is silent now, as far as one of the open connections shows it. */
  get silent(): Silence | null {
    const [first = null] = this.#silent;
    return first;
  }

  /** Whether every connection was destroyed, and new ones are refused. */
  get isHungUp(): boolean {
    return this.#hungUp !== null;
  }

  /** The scope of the whole, for what outlives a part. */
  get root(): Scope {
    return this.#parent?.root ?? this;
  }

  /** A part of the work, which ends with this scope or before. */
  child(): Scope {
    return new Scope(this);
  }

  /** Asks the work to stop at its next commit. The first reason counts. */
  stop(reason: unknown): void {
    this.#stop.abort(reason);
    for (const child of this.#children) child.stop(reason);
  }

  /** Asks the work to stop, and hangs up when that takes longer than `ms`. */
  drain(ms: number, reason: unknown): void {
    this.stop(reason);
    this.#drain ??= setTimeout(() => this.hangUp(reason), ms);
  }

  /** Destroys every connection, here and in all parts. What waits for one fails. */
  hangUp(reason: unknown): void {
    this.#hungUp ??= { reason };
    this.stop(reason);
    for (const child of this.#children) child.hangUp(reason);
    for (const closable of [...this.#open]) closable.destroy();
  }

  /** Raises the reason for the hang-up. */
  throwIfHungUp(): void {
    if (this.#hungUp !== null) throw this.#hungUp.reason;
  }

  /** From now on the scope owns `closable`: it is destroyed when the scope hangs up. It is let go when it is closed. */
  own(closable: Closable): void {
    this.#open.add(closable);
    if (this.#hungUp !== null) closable.destroy();
  }

  /** `closable` has ended by itself. */
  disown(closable: Closable): void {
    this.#open.delete(closable);
  }

  /** A server that should answer is silent, or speaks again, or its connection is closed. Every scope above hears of it. */
  silence(silence: Silence, now: 'silent' | 'speaking' | 'closed'): void {
    if (now === 'silent') this.#silent.add(silence);
    else this.#silent.delete(silence);
    // A closed connection does not speak again. What the work does next shows whether anything is stalled.
    if (now !== 'closed') this.onSilence(this.silent);
    this.#parent?.silence(silence, now);
  }

  /** Waits for `work`, but no longer than `ms`. Raises what `late` makes; the work is left to its own end. */
  async within<T>(ms: number, work: Promise<T>, late: () => TidegateError): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(late()), ms);
    work.catch(() => undefined);
    try {
      return await Promise.race([work, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Stops the work, closes everything and leaves the parent. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#drain);
    this.stop(new TidegateError('internal', 'the scope has ended'));
    await Promise.all([...this.#children].map(async (child) => await child[Symbol.asyncDispose]()));
    await Promise.all([...this.#open].map(async (closable) => await closable.close()));
    this.#open.clear();
    if (this.#parent !== null) this.#parent.#children.delete(this);
  }
}

/** Does `work` in a part of a scope, and closes what it opened there. */
export async function inPart<T>(scope: Scope, work: (part: Scope) => Promise<T>): Promise<T> {
  await using part = scope.child();
  return await work(part);
}
