import { inflateRawSync, inflateSync } from 'node:zlib';
import { inflatedLimit } from '../change/expansion.ts';
import { binlogType } from './binlog-types.ts';
import { InvalidValue } from './invalid-value.ts';
import { type ImageReader, type TextReader, lengthPrefixed } from './codec.ts';

/** The header's high four bits: the storage method. */
const method = { plain: 0, zlib: 8 } as const;
/** The smallest buffer that Node's zlib accepts. */
const leastPiece = 64;

/**
 * The reader for a column that MariaDB compresses (`varchar(n) compressed`), or null for any other image. Row images hold such
 * values in their stored form. In a snapshot the server inflates them.
 */
export function compressedReader(type: number, metadata: number, read: TextReader): ImageReader | null {
  if (type === binlogType.blobCompressed) return lengthPrefixed(metadata, inflated(read));
  if (type === binlogType.varcharCompressed) return lengthPrefixed(metadata < 256 ? 1 : 2, inflated(read));
  return null;
}

/**
 * A stored value is empty or starts with a header of one byte. The header holds the method, a bit for deflate without zlib's
 * wrapping, and the number of length bytes. These follow, big endian, with the original length (MariaDB sql/field_comp.cc).
 */
function inflated(read: TextReader): TextReader {
  return (source, start, end, out) => {
    if (start === end) return read(source, start, end, out);
    const header = source[start] as number;
    if (header >> 4 === method.plain) return read(source, start + 1, end, out);
    const lengthBytes = header & 7;
    if (header >> 4 !== method.zlib || lengthBytes < 1 || lengthBytes > 4)
      throw new InvalidValue('a compressed value has an unknown header');
    const length = source.readUIntBE(start + 1, lengthBytes);
    const data = source.subarray(start + 1 + lengthBytes, end);
    const value = inflate(data, (header & 8) !== 0, length);
    return read(value, 0, value.length, out);
  };
}

function inflate(data: Buffer, isRaw: boolean, length: number): Buffer {
  let value: Buffer;
  if (length > inflatedLimit(data.length))
    throw new InvalidValue('a compressed value is damaged, or larger than the memory allows');
  try {
    // One byte more than stated shows that there are more, and one piece needs no copy.
    value = (isRaw ? inflateRawSync : inflateSync)(data, {
      maxOutputLength: Math.max(1, length),
      chunkSize: Math.max(leastPiece, length + 1),
    });
  } catch {
    throw new InvalidValue('a compressed value cannot be inflated');
  }
  if (value.length !== length) throw new InvalidValue('a compressed value does not have the length in its header');
  return value;
}
