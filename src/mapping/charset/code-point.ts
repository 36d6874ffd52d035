import type { LineBuffer } from '../../change/line-buffer.ts';
import type { Conversions } from '../codec.ts';

/**
 * Writes stored bytes of one character set as escaped UTF-8. It converts each character as the server does and writes a question
 * mark for bytes without a character.
 */
export type CharsetWriter = (
  source: Buffer,
  start: number,
  end: number,
  out: LineBuffer,
  conversions: Conversions,
) => void;

/** The replacement for bytes that are not a character of their set, as in the server's own conversions. */
const questionMark = 0x3f;

/** Writes the replacement for bytes that are not a character. */
export function writeUnknown(out: LineBuffer, conversions: Conversions): void {
  conversions.unknown++;
  writeCodePoint(questionMark, out);
}

const ascii = Uint8Array.from({ length: 128 }, (_, code) => code);

/** Writes one character as escaped UTF-8; returns 1 if it was U+0000 and had to be replaced, else 0. */
export function writeCodePoint(code: number, out: LineBuffer): number {
  if (code < 0x80) return out.text(ascii, code, code + 1);
  out.reserve(4);
  const { bytes } = out;
  let at = out.length;
  if (code < 0x800) {
    bytes[at++] = 0xc0 | (code >> 6);
  } else {
    if (code < 0x1_0000) {
      bytes[at++] = 0xe0 | (code >> 12);
    } else {
      bytes[at++] = 0xf0 | (code >> 18);
      bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
    }
    bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
  }
  bytes[at++] = 0x80 | (code & 0x3f);
  out.length = at;
  return 0;
}
