import { type Position, isEarlierFile } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { EventHeader } from './event-header.ts';
import type { GtidProgress } from './gtid-progress.ts';

const twoTo32 = 2 ** 32;

/**
 * The reader's position in the binlog. Events carry the low 32 bits of their end position. MariaDB writes 0 for events inside a
 * transaction, and files may exceed 4 GiB. So the cursor adds event lengths, and corrects the sum by the 32 bits where an event has them.
 */
export class BinlogCursor {
  #file: string;
  /** End of the last event seen. */
  #offset: number;
  /** When the file was created; null: unknown. */
  #fileBegan: number | null;
  readonly gtids: GtidProgress;

  constructor(start: Position, gtids: GtidProgress) {
    this.#file = start.file;
    this.#offset = start.offset;
    this.#fileBegan = start.fileBegan ?? null;
    this.gtids = gtids;
  }

  /**
   * The reader enters a file: at its start after a rotation, or where the dump was asked to start. When the server finds the position by
   * GTID, it reports offset 4 although the dump starts later. Within the file we started from, our own offset is correct. Raises
   * source-diverged if the file precedes the current one: the server has restarted its binlog.
   */
  enterFile(file: string, offset: number, artificial: boolean): void {
    if (artificial && file === this.#file && offset <= this.#offset) return;
    if (this.#file !== '' && isEarlierFile(file, this.#file))
      throw new TidegateError('source-diverged', `the binlog of the source goes back from ${this.#file} to ${file}`);
    if (file !== this.#file) this.#fileBegan = null;
    this.#file = file;
    this.#offset = offset;
  }

  /** Records the creation time that the current file reports. Raises source-diverged if the file of that name had another one before. */
  fileBegan(at: number): void {
    if (this.#fileBegan !== null && this.#fileBegan !== at)
      throw new TidegateError(
        'source-diverged',
        `binlog file ${this.#file} of the source was replaced by another file of the same name`,
      );
    this.#fileBegan = at;
  }

  advance(header: EventHeader): void {
    if (header.artificial) return;
    this.#moveTo(this.#offset + header.length, header.endPosition);
  }

  /** A heartbeat: the server has sent or skipped everything up to here. */
  heartbeat(file: string, endPosition: number): void {
    if (file === this.#file && endPosition !== 0) this.#moveTo(this.#offset, endPosition);
  }

  /**
   * Moves to the position that is nearest to `counted` and has these low 32 bits (`low`; 0: unknown). It never moves back within a file: a
   * dump by GTID starts with the head of its file, which precedes the current position.
   */
  #moveTo(counted: number, low: number): void {
    let offset = counted;
    if (low !== 0) {
      let difference = (low - counted) % twoTo32;
      if (difference > twoTo32 / 2) difference -= twoTo32;
      if (difference < -twoTo32 / 2) difference += twoTo32;
      offset += difference;
    }
    if (offset > this.#offset) this.#offset = offset;
  }

  /** The position without its GTID, because the text of a GTID set is costly to build. */
  get position(): Position {
    const began = this.#fileBegan === null ? {} : { fileBegan: this.#fileBegan };
    return { file: this.#file, offset: this.#offset, gtid: null, ...began };
  }
}
