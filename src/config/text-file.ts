import { isUtf8 } from 'node:buffer';

const byteOrderMark = /^\uFEFF/;

/** The text of a file, without the mark that some editors put before it; null: it is not UTF-8. UTF-16 without its mark is seen by its NULs. */
export function decodeText(bytes: Buffer): string | null {
  return isUtf8(bytes) && !bytes.includes(0) ? bytes.toString('utf8').replace(byteOrderMark, '') : null;
}
