/** The `length` bytes from `at` on. Raises RangeError if the source ends before them. */
export function bytesAt(source: Buffer, at: number, length: number): Buffer {
  // Written so that a number that is none fails, too.
  if (!(at >= 0 && length >= 0 && at + length <= source.length))
    throw new RangeError('a value ends behind the bytes that hold it');
  return source.subarray(at, at + length);
}
