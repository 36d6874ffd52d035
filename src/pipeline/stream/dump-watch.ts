import type { SourceConfig } from '../../config/config.ts';
import { type Position, comparePositions } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { SourceConnection } from '../../mysql/connection.ts';
import { OnDemandConnection } from '../../mysql/on-demand-connection.ts';
import { readHead } from '../../mysql/position/positions.ts';

const everyMs = 10_000;

/**
 * Checks whether a dump that brings nothing new has nothing to bring. After RESET MASTER a server sends heartbeats forever: it waits until
 * its new file reaches the position in the old one. If a dump has not moved since the last check, its position is compared
 * with the end of the binlog. The connection for that is opened once and kept: a login each time would fill the log of an idle source.
 */
export class DumpWatch {
  readonly #replicator: OnDemandConnection;
  readonly #position: () => Position | null;
  readonly #fail: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  #last: Position | null = null;
  /** The end of the source's binlog when the dump already was at its present position. */
  #head: Position | null = null;
  #isLooking = false;

  /** `position`: the position of the dump; null while it moves. `fail` may be called more than once. */
  constructor(
    scope: Scope,
    source: SourceConfig,
    position: () => Position | null,
    fail: (error: Error) => void,
    interval = everyMs,
  ) {
    this.#replicator = new OnDemandConnection(async () => await SourceConnection.open(scope, source, 'replicator'));
    this.#position = position;
    this.#fail = fail;
    this.#timer = setInterval(() => void this.#look(), interval);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const position = this.#position();
      if (position === null || this.#last === null || comparePositions(position, this.#last) !== 0) this.#head = null;
      else if (this.#head !== null && comparePositions(position, this.#head) < 0)
        this.#fail(new TidegateError('source-unreachable', 'the source has more binlog than it sends'));
      else {
        this.#head = await this.#replicator.use(readHead);
        if (comparePositions(this.#head, position) < 0)
          this.#fail(
            new TidegateError('source-unreachable', "the source's binlog ends before the position it was read to"),
          );
      }
      this.#last = position;
    } catch {
      // The dump is another connection. If that is broken, too, the dump reports it.
      this.#head = null;
    } finally {
      this.#isLooking = false;
    }
  }
}
