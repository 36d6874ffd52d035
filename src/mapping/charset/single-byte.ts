import iconv from 'iconv-lite';
import { type CharsetWriter, writeCodePoint, writeUnknown } from './code-point.ts';

interface SingleByteCharset {
  /** iconv-lite's name of the nearest character set. */
  readonly iconv: string;
  /** Differences of the servers: the characters of this byte and of the bytes after it. `?`: no character. */
  readonly differs?: Readonly<Record<number, string>>;
}

/**
 * The servers' tables as differences from iconv-lite's, byte by byte. MariaDB 10.5 to 11.8 and MySQL 5.6 to 9.7 all convert them
 * alike. latin1 is Windows-1252 with the five unassigned bytes as C1 controls
 * (https://dev.mysql.com/doc/refman/8.4/en/charset-we-sets.html).
 */
const charsets: Readonly<Record<string, SingleByteCharset>> = {
  ascii: { iconv: 'ascii', differs: { 0x80: '?'.repeat(128) } },
  latin1: { iconv: 'cp1252', differs: { 0x81: '\x81', 0x8d: '\x8d', 0x8f: '\x8f', 0x90: '\x90', 0x9d: '\x9d' } },
  latin2: { iconv: 'iso-8859-2' },
  latin5: { iconv: 'iso-8859-9' },
  latin7: { iconv: 'iso-8859-13' },
  greek: { iconv: 'iso-8859-7', differs: { 0xa1: '\u02bd', 0xa2: '\u02bc', 0xa4: '?', 0xa5: '?', 0xaa: '?' } },
  hebrew: { iconv: 'iso-8859-8', differs: { 0xaf: '\u203e' } },
  cp1250: { iconv: 'cp1250' },
  cp1251: { iconv: 'cp1251' },
  cp1256: {
    iconv: 'cp1256',
    differs: { 0x8a: '?', 0x8f: '?', 0x98: '?', 0x9a: '?', 0x9f: '?', 0xaa: '?', 0xc0: '?', 0xff: '?' },
  },
  cp1257: { iconv: 'cp1257' },
  cp850: { iconv: 'cp850' },
  cp852: { iconv: 'cp852' },
  cp866: { iconv: 'cp866', differs: { 0xfc: '\u207f', 0xfd: '\u00b2' } },
  koi8r: { iconv: 'koi8-r' },
  koi8u: { iconv: 'koi8-u', differs: { 0x95: '\u2022' } },
  macce: { iconv: 'maccenteuro' },
  macroman: { iconv: 'macroman', differs: { 0xbd: '\u03a9', 0xdb: '\u20ac', 0xf0: '\uf8ff' } },
  hp8: { iconv: 'hproman8' },
  armscii8: {
    iconv: 'armscii8',
    differs: { 0xa1: '\u2741', 0xa2: '\u00a7', 0xad: '\u055f', 0xfe: '\u2019', 0xff: "'" },
  },
  dec8: {
    iconv: 'iso-8859-1',
    differs: {
      ...{ 0xa4: '?', 0xa6: '?', 0xa8: '¤', 0xac: '????', 0xb4: '?', 0xb8: '?', 0xbe: '?', 0xd0: '?', 0xd7: 'Œ' },
      ...{ 0xdd: 'Ÿ?', 0xf0: '?', 0xf7: 'œ', 0xfd: 'ÿ??' },
    },
  },
  geostd8: {
    iconv: 'cp1252',
    differs: {
      0x81: '?‚?„…†‡?‰?‹?????‘’“”•–—???›????',
      0xc0: 'აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ???????????????????????№??',
    },
  },
  keybcs2: { iconv: 'cp437', differs: { 0x80: 'ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ' } },
  /** A Swedish variant of seven-bit ASCII. */
  swe7: {
    iconv: 'ascii',
    differs: { 0x40: 'É', 0x5b: 'ÄÖÅÜ', 0x60: 'é', 0x7b: 'äöåü?', 0x80: '?'.repeat(128) },
  },
  tis620: { iconv: 'iso-8859-11', differs: { 0xa0: '\ufffd', 0xdb: '\ufffd'.repeat(4), 0xfc: '\ufffd'.repeat(4) } },
};

/** The code of a byte without a character: a noncharacter that no set contains. */
const unknown = 0xffff;

/** The writer for a character set of one byte per character. */
export function singleByteWriter(charset: string): CharsetWriter | null {
  const table = charsets[charset];
  if (table === undefined) return null;
  const codes = Uint16Array.from({ length: 256 }, (_, byte) => {
    const character = iconv.decode(Buffer.of(byte), table.iconv);
    return character === '\ufffd' ? unknown : character.charCodeAt(0);
  });
  for (const [first, characters] of Object.entries(table.differs ?? {}))
    for (let i = 0; i < characters.length; i++)
      codes[Number(first) + i] = characters[i] === '?' ? unknown : characters.charCodeAt(i);
  const isAscii = Uint8Array.from({ length: 256 }, (_, byte) => (byte < 0x80 && codes[byte] === byte ? 1 : 0));
  return (source, start, end, out, conversions) => {
    let run = start;
    for (let i = start; i < end; i++) {
      const byte = source[i] as number;
      if (isAscii[byte] === 1) continue;
      if (run < i) conversions.nulReplaced += out.text(source, run, i);
      const code = codes[byte] as number;
      if (code === unknown) writeUnknown(out, conversions);
      else writeCodePoint(code, out);
      if (code === 0xfffd) conversions.unknown++;
      run = i + 1;
    }
    conversions.nulReplaced += out.text(source, run, end);
  };
}
