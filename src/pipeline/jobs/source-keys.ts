import { toCopyText } from '../../change/copy-text.ts';
import { isForeignText } from '../../errors/mysql-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { TableCodec } from '../../mapping/table-codec.ts';
import { eachLine } from '../../postgres/rows/line-check.ts';
import type { KeyText } from '../../postgres/rows/table-key.ts';
import type { TableReader } from '../read/table-reader.ts';

/** Asks the source about keys in the text form of the target. */
export class SourceKeys {
  readonly #source: TableReader;
  readonly #codec: TableCodec;

  constructor(source: TableReader, codec: TableCodec) {
    this.#source = source;
    this.#codec = codec;
  }

  /**
   * The keys of which the source had no row that meets the condition when it was asked. Keys are compared character by character, so
   * the source may have some of them in another spelling. Returns all keys if the source cannot be asked for them together.
   */
  async absent(keys: readonly KeyText[], condition: string | null, signal: AbortSignal): Promise<readonly KeyText[]> {
    const chunk = await this.#source.present(this.literals(keys), condition, signal).catch((error: unknown) => {
      if (isForeignText(error)) return null;
      throw error;
    });
    signal.throwIfAborted();
    if (chunk === null) return keys;
    const lines = chunk.lines.bytes.subarray(0, chunk.lines.length);
    const present = new Set([...eachLine(lines)].map((line) => line.toString('utf8')));
    return keys.filter((key) => !present.has(`${key.map(toCopyText).join('\t')}\n`));
  }

  /** The keys that the source may have, as SQL literals. Raises refused if this key type has no literals. */
  literals(keys: readonly KeyText[]): string[][] {
    const { schema, codecs } = this.#codec;
    const readers = schema.primaryKey.map((index) => codecs[index]?.literalsOf);
    if (readers.includes(undefined))
      throw new TidegateError(
        'refused',
        `table ${schema.table}: the source cannot be asked for rows by a key of this type`,
      );
    return keys.flatMap((key) =>
      readers.reduce<string[][]>(
        (tuples, literalsOf, position) => {
          const literals = literalsOf?.(key[position] ?? '') ?? [];
          return tuples.flatMap((tuple) => literals.map((literal) => [...tuple, literal]));
        },
        [[]],
      ),
    );
  }
}
