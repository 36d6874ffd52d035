import type { CharsetWriter } from './code-point.ts';
import { multiByteWriter } from './multi-byte.ts';
import { singleByteWriter } from './single-byte.ts';
import { unicodeWriter } from './unicode.ts';

/** The server's character sets whose bytes are UTF-8 already. */
const utf8Charsets = new Set(['utf8', 'utf8mb3', 'utf8mb4']);

/** Writers by character set. The first column that needs a set builds its tables. */
const writers = new Map<string, CharsetWriter | null>();

/** The writer for a character set; null: exact copies are not known to work for it. */
export function charsetWriter(charset: string): CharsetWriter | null {
  let writer = writers.get(charset);
  if (writer === undefined) {
    writer = utf8Charsets.has(charset)
      ? (source, start, end, out, conversions) => {
          conversions.nulReplaced += out.text(source, start, end);
        }
      : (singleByteWriter(charset) ?? multiByteWriter(charset) ?? unicodeWriter(charset));
    writers.set(charset, writer);
  }
  return writer;
}
