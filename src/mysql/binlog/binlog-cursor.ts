import { type Position, isEarlierFile } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { EventHeader } from './event-header.ts';
import type { GtidProgress } from './gtid-progress.ts';

const twoTo32 = 2 ** 32;

/**
 * Where in the binlog the reader is. Events carry the low 32 bits of where they end, and MariaDB writes 0 for those inside a
 * transaction; files may pass 4 GiB. So offsets are counted by event lengths, and put right by the 32 bits where they are
 * given.
 */
export class BinlogCursor {
  #file: string;
  /** End of the last event seen. */
  #offset: number;
  /** When the file was begun; null: not known. */
  #fileBegan: number | null;
  readonly gtids: GtidProgress;

  constructor(start: Position, gtids: GtidProgress) {
    this.#file = start.file;
    this.#offset = start.offset;
    this.#fileBegan = start.fileBegan ?? null;
    this.gtids = gtids;
  }

  /**
   * The reader is at a file: at its beginning after a rotation, or where the dump was asked to begin. When the server finds
   * the place by GTID it says offset 4 although it begins later; within the file we started from, our own offset is right. Raises
   * source-changed for a file before the one we are at: the server has begun its binlog anew.
   */
  enterFile(file: string, offset: number, artificial: boolean): void {
    if (artificial && file === this.#file && offset <= this.#offset) return;
    if (this.#file !== '' && isEarlierFile(file, this.#file))
      throw new TidegateError('source-changed', `the binlog of the source goes back from ${this.#file} to ${file}`);
    if (file !== this.#file) this.#fileBegan = null;
    this.#file = file;
    this.#offset = offset;
  }

  /** The file we are at says when it was begun. Raises source-changed where the one of that name was begun at another time before. */
  fileBegan(at: number): void {
    if (this.#fileBegan !== null && this.#fileBegan !== at)
      throw new TidegateError('source-changed', `binlog file ${this.#file} of the source is another one than before`);
    this.#fileBegan = at;
  }

  advance(header: EventHeader): void {
    if (header.artificial) return;
    this.#moveTo(this.#offset + header.length, header.endPosition);
  }

  /** A heartbeat: everything up to here was sent or skipped. */
  heartbeat(file: string, endPosition: number): void {
    if (file === this.#file && endPosition !== 0) this.#moveTo(this.#offset, endPosition);
  }

  /**
   * Moves to the place nearest to the counted one that has these low 32 bits (0: not known). Never back within a file: a dump
   * by GTID begins with the head of its file, which lies before the place we are at.
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

  /** The place without its GTID, which is costly to spell out. */
  get position(): Position {
    const began = this.#fileBegan === null ? {} : { fileBegan: this.#fileBegan };
    return { file: this.#file, offset: this.#offset, gtid: null, ...began };
  }
}
