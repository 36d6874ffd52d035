import type { ColumnSchema } from '../change/table-schema.ts';
import type { LineBuffer } from '../change/line-buffer.ts';
import { binlogType } from './binlog-types.ts';
import { charsetWriter } from './charset/charset-writer.ts';
import { type CodecFamily, type Conversions, type TextReader, fixedWidth, lengthPrefixed } from './codec.ts';
import { compressedReader } from './compressed.ts';
import { InvalidValue } from './invalid-value.ts';

const blobBacked = new Set(['tinytext', 'text', 'mediumtext', 'longtext']);

/** char, varchar and the text types, decoded by the column's own character set. */
export const text: CodecFamily = (column, conversions) => {
  const blob = blobBacked.has(column.type);
  if (!blob && column.type !== 'char' && column.type !== 'varchar') return undefined;
  const charset = column.charset ?? 'utf8mb4';
  const write = charsetWriter(charset);
  if (write === null) return { refused: `character set ${charset} is not carried` };
  const read: TextReader = (source, start, end, out) => {
    conversions.nulReplaced += write(source, start, end, out);
  };
  return {
    pgType: 'text',
    fromText: utf8Reader(conversions),
    fromImage: (code, metadata) => {
      if (blob && code === binlogType.blob) return lengthPrefixed(metadata, read);
      if (blob) return code === binlogType.blobCompressed ? compressedReader(code, metadata, read) : null;
      // MyISAM and Aria log short varchar as CHAR-like STRING too; the length, not the name, decides the prefix.
      if (code === binlogType.varchar || code === binlogType.varString || code === binlogType.string)
        return lengthPrefixed(metadata < 256 ? 1 : 2, read);
      return code === binlogType.varcharCompressed ? compressedReader(code, metadata, read) : null;
    },
    keyLiteral: (source, start, end) => `_utf8mb4 x'${source.toString('hex', start, end)}'`,
    literalOf: (printed) => `_utf8mb4 x'${Buffer.from(printed, 'utf8').toString('hex')}'`,
  };
};

/** enum: text at the target. The image holds the index into the list; 0 is the empty string of an invalid value. */
export const enums: CodecFamily = (column, conversions) => {
  if (column.type !== 'enum') return undefined;
  const labels = memberList(column);
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
    // An enum orders by its index, so that is what bounds a chunk.
    // A member that is the empty text cannot be told from index 0, so such a column bounds no chunk.
    ...(labels.includes('')
      ? {}
      : {
          keyLiteral: (source: Buffer, start: number, end: number) =>
            String(indexes.get(source.toString('latin1', start, end)) ?? 0),
          literalOf: (printed: string) =>
            indexes.get(Buffer.from(printed, 'utf8').toString('latin1'))?.toString() ?? null,
        }),
  };
};

/** set: text[] at the target, in the order of its definition. The image is a bitmap of 1 to 8 bytes. */
export const sets: CodecFamily = (column) => {
  if (column.type !== 'set') return undefined;
  const labels = memberList(column);
  if (labels.includes('')) return { refused: 'of a set with an empty member, two values are printed alike' };
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
      out.text(element, 0, element.length);
    }
    out.byte(0x7d);
  };
  const membersOf = (source: Buffer, start: number, end: number) => {
    // A member never holds a comma, so the server's own text can be split at them.
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
    // A set orders by its bitmap; one whose last bit is set the server takes for less than none in a comparison.
    ...(labels.length < 64
      ? {
          keyLiteral: (source, start, end) => bitmap(membersOf(source, start, end)),
          literalOf: (printed) => {
            const members = arrayElements(printed).map((member) => byLabel.get(member));
            return members.includes(undefined) ? null : bitmap(members as number[]);
          },
        }
      : {}),
  };
};

function bitmap(members: readonly number[]): string {
  return String(members.reduce((bits, index) => bits | (1n << BigInt(index)), 0n));
}

const unknownMember = 'a set has a member that its definition lacks';

/** The bits of a set's two words that stand for no member. */
function unknownBits(members: number): { readonly low: number; readonly high: number } {
  if (members < 32) return { low: ~((1 << members) - 1), high: -1 };
  return { low: 0, high: members === 64 ? 0 : ~((1 << (members - 32)) - 1) };
}

function utf8Reader(conversions: Conversions): TextReader {
  return (source, start, end, out) => {
    conversions.nulReplaced += out.text(source, start, end);
  };
}

/** What the catalog prints behind a backslash. */
const memberEscapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', '0': '\0', '\\': '\\' };

/** The members of `enum('a','it''s')` as the catalog prints them: quotes doubled, backslash and line ends escaped. */
function memberList(column: ColumnSchema): string[] {
  const members: string[] = [];
  const list = column.fullType;
  let at = list.indexOf('(') + 1;
  while (list[at] === "'") {
    let member = '';
    at++;
    for (;;) {
      if (list[at] === "'" && list[at + 1] === "'") {
        member += "'";
        at += 2;
      } else if (list[at] === '\\') {
        member += memberEscapes[list[at + 1] ?? ''] ?? list[at + 1];
        at += 2;
      } else if (list[at] === "'" || at >= list.length) {
        break;
      } else {
        member += list[at++];
      }
    }
    members.push(member);
    at += 1;
    while (list[at] === ',' || list[at] === ' ') at++;
  }
  return members;
}

/** A quoted element of a PostgreSQL array literal. */
function arrayElement(member: string): string {
  return `"${member.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** The elements of a PostgreSQL array of text as it prints it: quoted where they have to be. */
function arrayElements(printed: string): string[] {
  return [...printed.matchAll(/"((?:[^"\\]|\\.)*)"|([^{},"]+)/g)].map(
    ([, quoted, plain]) => plain ?? (quoted ?? '').replaceAll(/\\(.)/g, '$1'),
  );
}
