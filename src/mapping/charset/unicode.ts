import type { CharsetWriter } from './charset-writer.ts';
import { questionMark, writeCodePoint } from './code-point.ts';

/** The writer for ucs2, utf16, utf16le and utf32. Surrogates that are no pair, and what follows a cut, are question marks. */
export function unicodeWriter(charset: string): CharsetWriter | null {
  if (charset === 'ucs2') return sixteenBits((source, at) => source.readUInt16BE(at), false);
  if (charset === 'utf16') return sixteenBits((source, at) => source.readUInt16BE(at), true);
  if (charset === 'utf16le') return sixteenBits((source, at) => source.readUInt16LE(at), true);
  return charset === 'utf32' ? utf32 : null;
}

function sixteenBits(unitAt: (source: Buffer, at: number) => number, hasPairs: boolean): CharsetWriter {
  return (source, start, end, out) => {
    let replaced = 0;
    let at = start;
    for (; at + 1 < end; at += 2) {
      const unit = unitAt(source, at);
      if (unit < 0xd800 || unit > 0xdfff) {
        replaced += writeCodePoint(unit, out);
        continue;
      }
      const low = hasPairs && unit < 0xdc00 && at + 3 < end ? unitAt(source, at + 2) : 0;
      if (low < 0xdc00 || low > 0xdfff) {
        writeCodePoint(questionMark, out);
        continue;
      }
      writeCodePoint(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00), out);
      at += 2;
    }
    if (at < end) writeCodePoint(questionMark, out);
    return replaced;
  };
}

const utf32: CharsetWriter = (source, start, end, out) => {
  let replaced = 0;
  let at = start;
  for (; at + 3 < end; at += 4) {
    const code = source.readUInt32BE(at);
    const isCharacter = code < 0xd800 || (code > 0xdfff && code <= 0x10_ffff);
    replaced += writeCodePoint(isCharacter ? code : questionMark, out);
  }
  if (at < end) writeCodePoint(questionMark, out);
  return replaced;
};
