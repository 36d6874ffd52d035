import iconv from 'iconv-lite';
import type { LineBuffer } from '../change/line-buffer.ts';

/** Writes stored bytes of one character set as escaped UTF-8; returns how many U+0000 it replaced. */
export type CharsetWriter = (source: Buffer, start: number, end: number, out: LineBuffer) => number;

/** The server's character sets whose bytes are UTF-8 already. `ascii` is a subset of it. */
const utf8Charsets = new Set(['utf8', 'utf8mb3', 'utf8mb4', 'ascii']);

/** iconv-lite's names of the server's other character sets; those with the same bytes for the same characters only. */
const iconvNames: Readonly<Record<string, string>> = {
  ucs2: 'utf16-be',
  utf16: 'utf16-be',
  utf16le: 'utf16-le',
  utf32: 'utf32-be',
  latin2: 'iso-8859-2',
  latin5: 'iso-8859-9',
  latin7: 'iso-8859-13',
  greek: 'iso-8859-7',
  hebrew: 'iso-8859-8',
  cp1250: 'cp1250',
  cp1251: 'cp1251',
  cp1256: 'cp1256',
  cp1257: 'cp1257',
  cp850: 'cp850',
  cp852: 'cp852',
  cp866: 'cp866',
  koi8r: 'koi8-r',
  koi8u: 'koi8-u',
  gbk: 'gbk',
  gb2312: 'gb2312',
  gb18030: 'gb18030',
  big5: 'big5',
  sjis: 'shift_jis',
  cp932: 'cp932',
  ujis: 'euc-jp',
  eucjpms: 'euc-jp',
  euckr: 'euc-kr',
};

/** The writer for a character set, or null for one that is not known to be carried exactly. */
export function charsetWriter(charset: string): CharsetWriter | null {
  if (utf8Charsets.has(charset)) return (source, start, end, out) => out.text(source, start, end);
  if (charset === 'latin1') return writeLatin1;
  const name = iconvNames[charset];
  if (name === undefined) return null;
  return (source, start, end, out) => {
    const utf8 = Buffer.from(iconv.decode(source.subarray(start, end), name, { stripBOM: false }), 'utf8');
    return out.text(utf8, 0, utf8.length);
  };
}

/**
 * The server's latin1 is Windows-1252 with the five unassigned bytes as C1 controls
 * (https://dev.mysql.com/doc/refman/8.4/en/charset-we-sets.html).
 */
const latin1 = Array.from({ length: 256 }, (_, byte) => {
  const unassigned = [0x81, 0x8d, 0x8f, 0x90, 0x9d].includes(byte);
  return Buffer.from(unassigned ? String.fromCharCode(byte) : iconv.decode(Buffer.of(byte), 'cp1252'), 'utf8');
});

function writeLatin1(source: Buffer, start: number, end: number, out: LineBuffer): number {
  let replaced = 0;
  let run = start;
  for (let i = start; i < end; i++) {
    const byte = source[i] as number;
    if (byte < 0x80) continue;
    replaced += out.text(source, run, i);
    const utf8 = latin1[byte] as Buffer;
    out.plain(utf8, 0, utf8.length);
    run = i + 1;
  }
  return replaced + out.text(source, run, end);
}
