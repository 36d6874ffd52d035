import type { LineBuffer } from '../change/line-buffer.ts';
import { binlogType } from './binlog-types.ts';
import type { ColumnSchema } from '../definition/table-schema.ts';
import { type CodecFamily, type Refusal, fixedWidth } from './codec.ts';
import { InvalidValue } from './invalid-value.ts';
import { utf8Reader } from './text.ts';

/** enum becomes text. The image holds the index into the list; 0 is the empty string of an invalid value. */
export const enums: CodecFamily = (column, conversions) => {
  if (column.type !== 'enum') return undefined;
  const labels = readMembers(column);
  if ('refused' in labels) return labels;
  const lines = ['', ...labels].map((label) => Buffer.from(label, 'utf8'));
  const indexes = new Map(lines.map((line, index) => [line.toString('latin1'), index] as const));
  const write = (index: number, out: LineBuffer) => {
    const line = lines[index];
    if (line === undefined) throw new InvalidValue('an enum has an index that its list lacks');
    conversions.nulReplaced += out.text(line, 0, line.length);
  };
  const narrow = fixedWidth(1, (source, at, out) => write(source[at] as number, out));
  const wide = fixedWidth(2, (source, at, out) => write(source.readUInt16LE(at), out));
  return {
    pgType: 'text',
    fromText: utf8Reader(conversions),
    fromImage: (code, metadata) => (code === binlogType.enum ? (metadata === 1 ? narrow : wide) : null),
    // An enum orders by its index, so the index bounds a chunk. If two indexes have the same text, the index of a row is unknown,
    // and the column bounds no chunk.
    ...(isDoubled(['', ...labels])
      ? {}
      : {
          keyLiteral: (source: Buffer, start: number, end: number) =>
            String(indexes.get(source.toString('latin1', start, end)) ?? 0),
          literalsOf: (printed: string) => {
            const index = indexes.get(Buffer.from(printed, 'utf8').toString('latin1'));
            return index === undefined ? [] : [String(index)];
          },
        }),
  };
};

/** set becomes text[], in the order of its definition. The image is a bitmap of 1 to 8 bytes. */
export const sets: CodecFamily = (column, conversions) => {
  if (column.type !== 'set') return undefined;
  const labels = readMembers(column);
  if ('refused' in labels) return labels;
  if (labels.includes('')) return { refused: 'the set has an empty member, so two of its values print alike' };
  if (isDoubled(labels)) return { refused: 'the set has a member twice, so two of its values print alike' };
  const elements = labels.map((label) => Buffer.from(arrayElement(label), 'utf8'));
  const byLabel = new Map(labels.map((label, index) => [label, index] as const));
  const unknown = unknownBits(elements.length);
  const write = (low: number, high: number, out: LineBuffer) => {
    if ((low & unknown.low) !== 0 || (high & unknown.high) !== 0) throw new InvalidValue(unknownMember);
    out.byte(0x7b);
    let first = true;
    for (let i = 0; i < elements.length; i++) {
      if ((((i < 32 ? low : high) >>> (i & 31)) & 1) === 0) continue;
      if (!first) out.byte(0x2c);
      first = false;
      const element = elements[i] as Buffer;
      conversions.nulReplaced += out.text(element, 0, element.length);
    }
    out.byte(0x7d);
  };
  const membersOf = (source: Buffer, start: number, end: number) => {
    // A member never holds a comma, so the server's own text can be split at commas.
    const members = start === end ? [] : source.toString('utf8', start, end).split(',');
    return members.map((member) => {
      const index = byLabel.get(member);
      if (index === undefined) throw new InvalidValue(unknownMember);
      return index;
    });
  };
  return {
    pgType: 'text[]',
    fromText: (source, start, end, out) => {
      let low = 0;
      let high = 0;
      for (const index of membersOf(source, start, end)) {
        if (index < 32) low |= 1 << index;
        else high |= 1 << (index - 32);
      }
      write(low, high, out);
    },
    fromImage: (code, metadata) => {
      if (code !== binlogType.set || metadata < 1 || metadata > 8) return null;
      const lowBytes = Math.min(metadata, 4);
      return fixedWidth(metadata, (source, at, out) => {
        const high = metadata > 4 ? source.readUIntLE(at + 4, metadata - 4) : 0;
        write(source.readUIntLE(at, lowBytes), high, out);
      });
    },
    // A set orders by its bitmap. In a comparison the server reads bit 64 as a sign, so a set of 64 members bounds no chunk.
    ...(labels.length < 64
      ? {
          keyLiteral: (source, start, end) => bitmap(membersOf(source, start, end)),
          literalsOf: (printed) => {
            const members = arrayElements(printed).map((member) => byLabel.get(member));
            return members.includes(undefined) ? [] : [bitmap(members as number[])];
          },
        }
      : {}),
  };
};

function bitmap(members: readonly number[]): string {
  return String(members.reduce((bits, index) => bits | (1n << BigInt(index)), 0n));
}

function isDoubled(labels: readonly string[]): boolean {
  return new Set(labels).size < labels.length;
}

const unknownMember = 'a set has a member that its definition lacks';

/** The bits of a set's two words that have no member. */
function unknownBits(members: number): { readonly low: number; readonly high: number } {
  if (members < 32) return { low: ~((1 << members) - 1), high: -1 };
  return { low: 0, high: members === 64 ? 0 : ~((1 << (members - 32)) - 1) };
}

/** A quoted element of a PostgreSQL array literal. */
function arrayElement(member: string): string {
  return `"${member.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** The elements of a PostgreSQL text array as it prints them, quoted where necessary. */
function arrayElements(printed: string): string[] {
  return [...printed.matchAll(/"((?:[^"\\]|\\.)*)"|([^{},"]+)/g)].map(
    ([, quoted, plain]) => plain ?? (quoted ?? '').replaceAll(/\\(.)/g, '$1'),
  );
}

/** The characters that the catalog prints behind a backslash. */
const memberEscapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', '0': '\0', '\\': '\\' };
/** A quoted member: quotes are doubled, backslashes and line ends are escaped. */
const member = /'((?:[^'\\]|''|\\[^])*)'/y;

/**
 * Character sets with characters that the catalog (utf8mb3) cannot print, or with bytes that are not characters. The catalog
 * prints a question mark for them. MySQL 5.6 prints nothing of the list after it.
 */
const beyondCatalog = new Set(['utf8mb4', 'utf16', 'utf16le', 'utf32', 'gb18030', 'binary']);

/**
 * The members of an enum or a set, parsed from its type as the catalog prints it: `enum('a','it''s')`. Or the reason why they are
 * not known from there.
 */
function readMembers({ fullType, charset }: ColumnSchema): string[] | Refusal {
  const members: string[] = [];
  let at = fullType.indexOf('(');
  do {
    member.lastIndex = at + 1;
    const found = member.exec(fullType);
    if (found === null) return { refused: 'the catalog does not print its members' };
    members.push(
      (found[1] ?? '').replace(/''|\\([^])/g, (_, escaped?: string) =>
        escaped === undefined ? "'" : (memberEscapes[escaped] ?? escaped),
      ),
    );
    at = member.lastIndex;
  } while (fullType[at] === ',');
  if (fullType[at] !== ')') return { refused: 'the catalog does not print its members' };
  if (beyondCatalog.has(charset ?? '') && members.some((text) => text.includes('?')))
    return {
      refused: 'a ? in its members may replace a character that the catalog cannot print',
    };
  return members;
}
