import { isUtf8 } from 'node:buffer';

const byteOrderMark = /^\uFEFF/;

/** The text of a file without a byte order mark; null: the file is not UTF-8. NUL bytes reveal UTF-16 without a mark. */
export function decodeText(bytes: Buffer): string | null {
  return isUtf8(bytes) && !bytes.includes(0) ? bytes.toString('utf8').replace(byteOrderMark, '') : null;
}
