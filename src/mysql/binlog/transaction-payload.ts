import { zstdDecompressSync } from 'node:zlib';
import { inflatedLimit } from '../../change/expansion.ts';
import { readLengthEncoded } from '../wire/length-encoded.ts';

/** Numbers of the fields and of the compressions (libs/mysql/binlog/event/binlog_event.h, `Transaction_payload_event`). */
const field = { end: 0, compression: 2, size: 3 } as const;
const compression = { zstd: 0, none: 255 } as const;

/**
 * The events of a compressed transaction (binlog_transaction_compression), one after the other; null: they are too large to be held. Fields
 * with number, length and value come first, and then the payload. Raises RangeError if the event has another form.
 */
export function readPayload(source: Buffer, body: number): Buffer | null {
  let how: number = compression.none;
  let size: number | null = null;
  let at = body;
  for (;;) {
    const { value: number, next } = readLengthEncoded(source, at);
    at = next;
    if (number === field.end) break;
    if (at >= source.length) throw new RangeError('a compressed transaction has no payload');
    const length = readLengthEncoded(source, at);
    const { value } = readLengthEncoded(source, length.next);
    if (number === field.compression) how = value;
    if (number === field.size) size = value;
    at = length.next + length.value;
  }
  const payload = source.subarray(at);
  const most = inflatedLimit(payload.length);
  if (how === compression.none) return payload;
  if (how !== compression.zstd) throw new RangeError('a transaction is compressed by another method than known');
  if ((size ?? 0) > most) return null;
  try {
    return zstdDecompressSync(payload, { maxOutputLength: most, ...(size === null ? {} : inOnePiece(size)) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return null;
    throw new RangeError('a compressed transaction cannot be decompressed', { cause: error });
  }
}

/** Pieces would be copied together at the end, and take twice the memory. */
function inOnePiece(size: number): { readonly chunkSize: number } {
  return { chunkSize: Math.max(leastPiece, size + 1) };
}

/** The smallest buffer that Node's zlib accepts. */
const leastPiece = 64;
