import type { SourceConfig } from '../../config/config.ts';
import { type Position, comparePositions } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { SourceConnection } from '../../mysql/connection.ts';
import { readHead } from '../../mysql/position/positions.ts';

const everyMs = 10_000;

/**
 * Looks whether a dump that brings nothing new has nothing to bring. After RESET MASTER a server goes on with heartbeats for ever, for
 * it waits until its new file reaches the place in the old one. A dump that stood still
 * since the last look is compared with where the binlog ends, on a connection that is closed again.
 */
export class DumpWatch {
  readonly #source: SourceConfig;
  readonly #place: () => Position | null;
  readonly #fail: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  #last: Position | null = null;
  /** Where the source ended when the dump already stood where it stands. */
  #head: Position | null = null;
  #isLooking = false;

  /** `place`: where the dump stands, or null while it moves. `fail` may be called more than once. */
  constructor(source: SourceConfig, place: () => Position | null, fail: (error: Error) => void) {
    this.#source = source;
    this.#place = place;
    this.#fail = fail;
    this.#timer = setInterval(() => void this.#look(), everyMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const place = this.#place();
      if (place === null || this.#last === null || comparePositions(place, this.#last) !== 0) this.#head = null;
      else if (this.#head !== null && comparePositions(place, this.#head) < 0)
        this.#fail(new TidegateError('source-unreachable', 'the source has more binlog than it sends'));
      else {
        this.#head = await this.#readHead();
        if (comparePositions(this.#head, place) < 0)
          this.#fail(
            new TidegateError('source-unreachable', "the source's binlog ends before the place it was read to"),
          );
      }
      this.#last = place;
    } catch {
      // The dump is another connection: should it be broken, too, it will say so.
      this.#head = null;
    } finally {
      this.#isLooking = false;
    }
  }

  async #readHead(): Promise<Position> {
    const connection = await SourceConnection.open(this.#source, 'replicator');
    try {
      return await readHead(connection);
    } finally {
      await connection.close();
    }
  }
}
