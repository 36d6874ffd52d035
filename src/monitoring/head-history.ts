import { type Position, comparePositions } from '../change/position.ts';

/** A place in the source's binlog, and when it was the end of it by the source's own clock: seconds since 1970. */
export interface HeadSample {
  readonly clock: number;
  readonly head: Position;
}

/** What is kept is as fine as the answer has to be: to the second, or to this share of how long ago it was. */
const finestSeconds = 1;
const finestShare = 0.05;

/**
 * Where the source's binlog ended when. It turns a place into a time: a target that has everything up to a place is the source as
 * it was between the last time that the source's end was not beyond that place, and the first time that it was.
 *
 * The times in the binlog alone do not tell: they are those of when statements began, whole seconds, by SET TIMESTAMP whatever
 * somebody likes, and after a quiet night the last of them is of the evening before.
 */
export class HeadHistory {
  /** Oldest first. */
  #samples: HeadSample[] = [];

  /** A sample of now, or one that somebody else took. */
  add(sample: HeadSample): void {
    const last = this.#samples.at(-1);
    if (last === undefined || last.clock < sample.clock) this.#samples.push(sample);
    else if (!this.#samples.some(({ clock }) => clock === sample.clock))
      this.#samples = [...this.#samples, sample].toSorted((a, b) => a.clock - b.clock);
  }

  /** What there is to know of places from `applied` on. */
  get samples(): readonly HeadSample[] {
    return this.#samples;
  }

  clear(): void {
    this.#samples = [];
  }

  /** The target is at `applied`: what is before is not needed any more, and what is far back need not be so fine. */
  forgetBefore(applied: Position): void {
    const now = this.#samples.at(-1)?.clock ?? 0;
    const from = this.#samples.findLastIndex(({ head }) => comparePositions(head, applied) <= 0);
    const kept: HeadSample[] = [];
    for (const [index, sample] of this.#samples.entries()) {
      if (index < from) continue;
      const before = kept.at(-1);
      const after = this.#samples[index + 1];
      const step = Math.max(finestSeconds, finestShare * (now - sample.clock));
      if (before === undefined || after === undefined || after.clock - before.clock > step) kept.push(sample);
    }
    this.#samples = kept;
  }

  /**
   * The time as of which a target at `applied` is the source, in seconds since 1970 by the source's clock. `committedAt`: the same
   * by the last transaction applied, which is believed as far as it can be true. Null: nothing is known.
   */
  asOf(applied: Position, committedAt: number | null): number | null {
    const passed = this.#samples.findLast(({ head }) => comparePositions(head, applied) <= 0)?.clock ?? null;
    const ahead = this.#samples.find(({ head }) => comparePositions(head, applied) > 0)?.clock ?? null;
    const told = committedAt ?? passed;
    if (told === null) return null;
    return Math.min(Math.max(told, passed ?? told), ahead ?? Infinity);
  }
}
