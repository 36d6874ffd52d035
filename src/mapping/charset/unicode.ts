import { type CharsetWriter, writeCodePoint, writeUnknown } from './code-point.ts';

/**
 * The writer for ucs2, utf16, utf16le and utf32. In utf16 a surrogate without its pair is not a character; neither are the
 * remaining bytes of a cut text. In ucs2 and utf32 the server accepts a surrogate as a character. It is written as the server
 * prints it, which is not valid UTF-8.
 */
export function unicodeWriter(charset: string): CharsetWriter | null {
  if (charset === 'ucs2') return sixteenBits((source, at) => source.readUInt16BE(at), false);
  if (charset === 'utf16') return sixteenBits((source, at) => source.readUInt16BE(at), true);
  if (charset === 'utf16le') return sixteenBits((source, at) => source.readUInt16LE(at), true);
  return charset === 'utf32' ? utf32 : null;
}

function sixteenBits(unitAt: (source: Buffer, at: number) => number, hasPairs: boolean): CharsetWriter {
  return (source, start, end, out, conversions) => {
    let at = start;
    for (; at + 1 < end; at += 2) {
      const unit = unitAt(source, at);
      if (!hasPairs || unit < 0xd800 || unit > 0xdfff) {
        conversions.nulReplaced += writeCodePoint(unit, out);
        continue;
      }
      const low = unit < 0xdc00 && at + 3 < end ? unitAt(source, at + 2) : 0;
      if (low < 0xdc00 || low > 0xdfff) {
        writeUnknown(out, conversions);
        continue;
      }
      writeCodePoint(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00), out);
      at += 2;
    }
    if (at < end) writeUnknown(out, conversions);
  };
}

const utf32: CharsetWriter = (source, start, end, out, conversions) => {
  let at = start;
  for (; at + 3 < end; at += 4) {
    const code = source.readUInt32BE(at);
    if (code > 0x10_ffff) writeUnknown(out, conversions);
    else conversions.nulReplaced += writeCodePoint(code, out);
  }
  if (at < end) writeUnknown(out, conversions);
};
