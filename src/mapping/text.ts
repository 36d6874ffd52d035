import { binlogType } from './binlog-types.ts';
import { charsetWriter } from './charset/charset-writer.ts';
import { type CodecFamily, type Conversions, type TextReader, lengthPrefixed } from './codec.ts';
import { compressedReader } from './compressed.ts';

const blobBacked = new Set(['tinytext', 'text', 'mediumtext', 'longtext']);

/** char, varchar and the text types, decoded from the column's own character set. */
export const text: CodecFamily = (column, conversions) => {
  const blob = blobBacked.has(column.type);
  if (!blob && column.type !== 'char' && column.type !== 'varchar') return undefined;
  const charset = column.charset ?? 'utf8mb4';
  const write = charsetWriter(charset);
  if (write === null) return { refused: `character set ${charset} is not supported` };
  const read: TextReader = (source, start, end, out) => {
    write(source, start, end, out, conversions);
  };
  return {
    pgType: 'text',
    fromText: utf8Reader(conversions),
    fromImage: (code, metadata) => {
      if (blob && code === binlogType.blob) return lengthPrefixed(metadata, read);
      if (blob) return code === binlogType.blobCompressed ? compressedReader(code, metadata, read) : null;
      // MyISAM and Aria also log a short varchar as a CHAR-like STRING. The length decides the prefix, not the type.
      if (code === binlogType.varchar || code === binlogType.varString || code === binlogType.string)
        return lengthPrefixed(metadata < 256 ? 1 : 2, read);
      return code === binlogType.varcharCompressed ? compressedReader(code, metadata, read) : null;
    },
    keyLiteral: (source, start, end) => `_utf8mb4 x'${source.toString('hex', start, end)}'`,
    literalsOf: (printed) => [`_utf8mb4 x'${Buffer.from(printed, 'utf8').toString('hex')}'`],
  };
};

/** A reader for text that the server already converted to UTF-8. */
export function utf8Reader(conversions: Conversions): TextReader {
  return (source, start, end, out) => {
    conversions.nulReplaced += out.text(source, start, end);
  };
}
