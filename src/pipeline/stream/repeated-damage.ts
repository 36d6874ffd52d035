import { TidegateError } from '../../errors/tidegate-error.ts';

/** How often a damaged event is read again, each time on a new connection. */
const mostRepeats = 3;

/** Tells damage on the way, which a new connection does not repeat, from damage at the source. */
export class RepeatedDamage {
  #position: string | undefined;
  #times = 0;

  /** Returns the error to raise: binlog-unreadable once the same position was damaged on three further connections. */
  judged(error: unknown): unknown {
    if (!(error instanceof TidegateError) || error.kind !== 'binlog-damaged') return error;
    this.#times = error.position === this.#position ? this.#times + 1 : 1;
    this.#position = error.position;
    if (this.#times <= mostRepeats) return error;
    return new TidegateError('binlog-unreadable', `${error.message}; also on ${mostRepeats} new connections`, {
      hint: 'The event is damaged at the source, or something on the way damages it each time. Check the disk and the memory of the source and the network. If another connection reads it, run again. If the source has lost it, run `tidegate resync`: it reads every table again, in place.',
      cause: error,
    });
  }
}
