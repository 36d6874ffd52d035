/**
 * Reads a length-encoded integer of the client protocol and of binlog bodies
 * (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html). `next` is where the next field starts.
 */
export function readLengthEncoded(source: Buffer, at: number): { value: number; next: number } {
  const first = source[at] as number;
  if (first < 0xfb) return { value: first, next: at + 1 };
  if (first === 0xfc) return { value: source.readUInt16LE(at + 1), next: at + 3 };
  if (first === 0xfd) return { value: source.readUIntLE(at + 1, 3), next: at + 4 };
  return { value: Number(source.readBigUInt64LE(at + 1)), next: at + 9 };
}
