import { binlogType } from './binlog-types.ts';
import type { LineBuffer } from '../change/line-buffer.ts';
import { type CodecFamily, lengthPrefixed } from './codec.ts';
import { InvalidValue } from './invalid-value.ts';
import { writeBinaryJson } from './json-binary.ts';
import { withoutNul } from './json-text.ts';

/**
 * MySQL's json becomes jsonb. MariaDB's JSON is an alias of longtext and becomes text, unless a rule makes it jsonb. The stream
 * holds the server's binary form, which this codec prints as text. jsonb turns the texts of snapshot and stream into the same
 * value.
 */
export const json: CodecFamily = (column, conversions) => {
  if (column.type !== 'json') return undefined;
  const fromStored = (source: Buffer, start: number, end: number, out: LineBuffer) => {
    try {
      writeBinaryJson(source.subarray(start, end), out, conversions);
    } catch (error) {
      // The reader passed its end, met an unknown type, or met bytes for the second time.
      if (error instanceof RangeError) throw new InvalidValue('a json document is damaged');
      throw error;
    }
  };
  return {
    pgType: 'jsonb',
    fromText: (source, start, end, out) => {
      const utf8 = Buffer.from(withoutNul(source.toString('utf8', start, end), conversions), 'utf8');
      out.text(utf8, 0, utf8.length);
    },
    fromImage: (code, metadata) => (code === binlogType.json ? lengthPrefixed(metadata, fromStored) : null),
  };
};
