import { type Position, comparePositions } from '../change/position.ts';

/** A position in the source's binlog, and the time at which the binlog ended there: seconds since 1970 by the source's clock. */
export interface HeadSample {
  readonly clock: number;
  readonly head: Position;
}

/** Samples are kept as densely as the answer needs: one a second, or one per this share of their age. */
const finestSeconds = 1;
const finestShare = 0.05;

/**
 * Where the source's binlog ended at which time. It converts a position into a time. A target that has everything up to a position
 * equals the source at some moment: after the last sample whose end is not beyond the position, before the first whose end is.
 *
 * The times in the binlog are not enough. They are the start times of statements, in whole seconds, and SET TIMESTAMP can set them to
 * anything. After a quiet night the last of them is from the evening before.
 */
export class HeadHistory {
  /** Oldest first. */
  #samples: HeadSample[] = [];

  /** Adds a sample of now, or an older one from another process. */
  add(sample: HeadSample): void {
    const last = this.#samples.at(-1);
    if (last === undefined || last.clock < sample.clock) this.#samples.push(sample);
    else if (!this.#samples.some(({ clock }) => clock === sample.clock))
      this.#samples = [...this.#samples, sample].toSorted((a, b) => a.clock - b.clock);
  }

  /** Oldest first; after `forgetBefore`, from its position on. */
  get samples(): readonly HeadSample[] {
    return this.#samples;
  }

  clear(): void {
    this.#samples = [];
  }

  /** Drops samples before `applied`, the position of the target, and thins out old ones. */
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
   * The time at which the source was what a target at `applied` is now, in seconds since 1970 by the source's clock. `committedAt` is
   * the time of the last transaction applied; the samples bound it, because it may be false. Null: not known.
   */
  asOf(applied: Position, committedAt: number | null): number | null {
    const passed = this.#samples.findLast(({ head }) => comparePositions(head, applied) <= 0)?.clock ?? null;
    const ahead = this.#samples.find(({ head }) => comparePositions(head, applied) > 0)?.clock ?? null;
    const stated = committedAt ?? passed;
    if (stated === null) return null;
    return Math.min(Math.max(stated, passed ?? stated), ahead ?? Infinity);
  }
}
