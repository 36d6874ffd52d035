import { binlogType } from './binlog-types.ts';
import { type CodecFamily, type TextReader, fixedWidth, lengthPrefixed } from './codec.ts';
import { compressedReader } from './compressed.ts';
import { InvalidValue } from './invalid-value.ts';

const blobs = new Set(['tinyblob', 'blob', 'mediumblob', 'longblob']);
/** Names of every spatial type in both servers' catalogs. */
const spatial = new Set([
  'geometry',
  'point',
  'linestring',
  'polygon',
  'multipoint',
  'multilinestring',
  'multipolygon',
  'geometrycollection',
  'geomcollection',
]);

const hexReader: TextReader = (source, start, end, out) => out.hex(source, start, end);
const hexLiteral = (source: Buffer, start: number, end: number) => `x'${source.toString('hex', start, end)}'`;

/** A literal from bytes as PostgreSQL prints them: `\\x` and hex digits; none: not such a text. */
function bytesOf(printed: string): readonly string[] {
  return /^\\x[0-9a-f]*$/.test(printed) ? [`x'${printed.slice(2)}'`] : [];
}

/** A literal from a boolean, in short or in full, or from a bit string as PostgreSQL prints it; none: neither. */
function bitsOf(printed: string): readonly string[] {
  if (/^(t(rue)?|f(alse)?)$/.test(printed)) return [printed.startsWith('t') ? '1' : '0'];
  return /^[01]+$/.test(printed) ? [BigInt(`0b${printed}`).toString()] : [];
}

/** varbinary, the blob types and vector, byte for byte; spatial values as the server stores them: 4-byte SRID, then WKB. */
export const blobsAndGeometry: CodecFamily = (column) => {
  const { type } = column;
  const geometry = spatial.has(type);
  if (!geometry && !blobs.has(type) && type !== 'varbinary' && type !== 'vector') return undefined;
  return {
    pgType: 'bytea',
    fromText: hexReader,
    fromImage: (code, metadata) => {
      // MariaDB logs a vector as the varbinary that it stores; MySQL has a type for it.
      if (code === binlogType.varchar && (type === 'varbinary' || type === 'vector'))
        return lengthPrefixed(metadata < 256 ? 1 : 2, hexReader);
      if (!geometry && code !== binlogType.blob && code !== binlogType.vector)
        return compressedReader(code, metadata, hexReader);
      const expected = geometry ? binlogType.geometry : type === 'vector' ? binlogType.vector : binlogType.blob;
      return code === expected ? lengthPrefixed(metadata, hexReader) : null;
    },
    ...(geometry ? {} : { keyLiteral: hexLiteral, literalsOf: bytesOf, sortsAlike: true }),
  };
};

/**
 * binary(n). A row image drops trailing zero bytes, as CHAR drops spaces. The column contains them, so the reader restores them.
 */
export const fixedBinary: CodecFamily = (column) => {
  if (column.type !== 'binary') return undefined;
  const length = column.length ?? 1;
  const zeros = Buffer.alloc(length);
  return {
    pgType: 'bytea',
    fromText: hexReader,
    fromImage: (code, metadata) =>
      code === binlogType.string
        ? lengthPrefixed(metadata < 256 ? 1 : 2, (source, start, end, out) => {
            out.hex(source, start, end);
            const dropped = length - (end - start);
            if (dropped > 0) out.ascii(zeros.toString('hex', 0, dropped));
          })
        : null,
    keyLiteral: hexLiteral,
    literalsOf: bytesOf,
    sortsAlike: true,
  };
};

/** bit(1) becomes a boolean, bit(n) a bit string of the same length. Both protocols send it as big-endian bytes. */
export const bits: CodecFamily = (column) => {
  if (column.type !== 'bit') return undefined;
  const size = column.precision ?? 1;
  const width = Math.ceil(size / 8);
  const spare = width * 8 - size;
  const write: TextReader = (source, start, end, out) => {
    if (end - start === width && (source[start] as number) >> (8 - spare) !== 0)
      throw new InvalidValue('a bit field has more bits than its column');
    if (size === 1) {
      out.byte((source[end - 1] as number) & 1 ? 0x74 : 0x66);
      return;
    }
    for (let bit = size - 1; bit >= 0; bit--) {
      const at = end - 1 - (bit >> 3);
      out.byte(at >= start && ((source[at] as number) >> (bit & 7)) & 1 ? 0x31 : 0x30);
    }
  };
  const reader = fixedWidth(width, (source, at, out) => write(source, at, at + width, out));
  return {
    pgType: size === 1 ? 'boolean' : `bit(${size})`,
    fromText: write,
    // Metadata: the number of full bytes in the high byte, of remaining bits in the low one.
    fromImage: (code, metadata) =>
      code === binlogType.bit && (metadata >> 8) * 8 + (metadata & 0xff) === size ? reader : null,
    keyLiteral: (source, start, end) => `0x${source.toString('hex', start, end)}`,
    literalsOf: bitsOf,
    sortsAlike: true,
  };
};
