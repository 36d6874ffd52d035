import iconv from 'iconv-lite';
import { type CharsetWriter, writeCodePoint, writeUnknown } from './code-point.ts';
import { type CodeRun, serverDifferences } from './server-differences.ts';

type Range = readonly [first: number, last: number];

/** The byte sequences of a character set that the servers accept as well formed. */
interface MultiByteCharset {
  readonly iconv: string;
  readonly lead: readonly Range[];
  readonly trail: readonly Range[];
  /** Bytes above ASCII that are characters by themselves. */
  readonly single?: Range;
  /** Trail bytes of 0x8e, which shifts to one more byte; 0x8f shifts to two bytes of `lead` and `trail`. */
  readonly shifted?: Range;
  /** The set has sequences of four bytes; their second byte is a digit. */
  readonly four?: true;
}

const high: readonly Range[] = [[0xa1, 0xfe]];
const shiftJis = {
  lead: [
    [0x81, 0x9f],
    [0xe0, 0xfc],
  ],
  trail: [
    [0x40, 0x7e],
    [0x80, 0xfc],
  ],
  single: [0xa1, 0xdf],
} as const;
const chinese = {
  lead: [[0x81, 0xfe]],
  trail: [
    [0x40, 0x7e],
    [0x80, 0xfe],
  ],
} as const;

const charsets: Readonly<Record<string, MultiByteCharset>> = {
  gbk: { iconv: 'gbk', ...chinese },
  gb2312: { iconv: 'gb2312', lead: [[0xa1, 0xf7]], trail: high },
  gb18030: { iconv: 'gb18030', ...chinese, four: true },
  big5: {
    iconv: 'big5',
    lead: [[0xa1, 0xf9]],
    trail: [
      [0x40, 0x7e],
      [0xa1, 0xfe],
    ],
  },
  sjis: { iconv: 'shift_jis', ...shiftJis },
  cp932: { iconv: 'cp932', ...shiftJis },
  ujis: { iconv: 'euc-jp', lead: high, trail: high, shifted: [0xa1, 0xdf] },
  eucjpms: { iconv: 'euc-jp', lead: high, trail: high, shifted: [0xa1, 0xdf] },
  euckr: {
    iconv: 'euc-kr',
    lead: [[0x81, 0xfe]],
    trail: [
      [0x41, 0x5a],
      [0x61, 0x7a],
      [0x81, 0xfe],
    ],
  },
};

/** The writer for a character set of one to four bytes per character. Its tables are built when a column first needs them. */
export function multiByteWriter(charset: string): CharsetWriter | null {
  const rules = charsets[charset];
  if (rules === undefined) return null;
  const { double, triple } = serverDifferences[charset] ?? {};
  const doubles = table(rules, [], double ?? []);
  const triples = rules.shifted === undefined ? doubles : table(rules, [0x8f], triple ?? []);
  const singles = Uint16Array.from({ length: 256 }, (_, byte) =>
    within(byte, rules.single) ? characterOf(rules.iconv, [byte]) : unassigned,
  );
  const shifted = Uint16Array.from({ length: 256 }, (_, byte) =>
    within(byte, rules.shifted) ? characterOf(rules.iconv, [0x8e, byte]) : 0,
  );
  const four = rules.four === true;

  return (source, start, end, out, conversions) => {
    let run = start;
    for (let i = start; i < end;) {
      const byte = source[i] as number;
      if (byte < 0x80) {
        i++;
        continue;
      }
      if (run < i) conversions.nulReplaced += out.text(source, run, i);
      const second = i + 1 < end ? (source[i + 1] as number) : 0;
      let code = doubles[(byte << 8) | second] as number;
      let length = 2;
      if (code === 0 && byte === 0x8e) {
        code = shifted[second] as number;
      } else if (code === 0 && byte === 0x8f && i + 2 < end && rules.shifted !== undefined) {
        code = triples[(second << 8) | (source[i + 2] as number)] as number;
        length = 3;
      } else if (code === 0 && four && second >= 0x30 && second <= 0x39 && i + 3 < end) {
        code = fourByteCharacter(source, i);
        length = 4;
      }
      if (code === 0) {
        code = singles[byte] as number;
        length = 1;
      }
      if (code === none || (code === unassigned && length < 4)) writeUnknown(out, conversions);
      else writeCodePoint(code, out);
      i += length;
      run = i;
    }
    conversions.nulReplaced += out.text(source, run, end);
  };
}

/** The code of a well-formed sequence without a character; 0: not well formed. No sequence of one to three bytes is U+FFFF. */
const unassigned = 0xffff;
/** The code of a four-byte sequence without a character. U+FFFF cannot mark it, because one such sequence is U+FFFF. */
const none = -1;

/** Codes of all well-formed pairs of bytes after `prefix`. */
function table({ iconv, lead, trail }: MultiByteCharset, prefix: number[], differences: readonly CodeRun[]) {
  const codes = new Uint16Array(0x1_0000);
  const pairs = lead.flatMap((range) => bytes(range)).flatMap((a) => trail.flatMap(bytes).map((b) => (a << 8) | b));
  for (const pair of pairs) codes[pair] = characterOf(iconv, [...prefix, pair >> 8, pair & 0xff]);
  for (const [first, code, count] of differences) {
    const from = pairs.indexOf(first);
    for (let i = 0; i < count; i++) codes[pairs[from + i] as number] = code === 0 ? unassigned : code + i;
  }
  return codes;
}

function characterOf(encoding: string, sequence: readonly number[]): number {
  const text = iconv.decode(Buffer.from(sequence), encoding);
  return text.length === 1 && text !== '\ufffd' ? text.charCodeAt(0) : unassigned;
}

function fourByteCharacter(source: Buffer, at: number): number {
  const text = iconv.decode(source.subarray(at, at + 4), 'gb18030');
  const code = text.codePointAt(0) ?? none;
  // Only this sequence is U+FFFD itself; elsewhere the decoder returns U+FFFD for an unassigned one.
  if (code === 0xfffd) return source.readUInt32BE(at) === 0x8431_a437 ? code : none;
  return text.length === (code > 0xffff ? 2 : 1) ? code : none;
}

function bytes([first, last]: Range): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

function within(byte: number, range: Range | undefined): boolean {
  return range !== undefined && byte >= range[0] && byte <= range[1];
}
