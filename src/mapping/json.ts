import { constants } from 'node:buffer';
import { binlogType } from './binlog-types.ts';
import { type CodecFamily, type Conversions, lengthPrefixed } from './codec.ts';
import { InvalidValue } from './invalid-value.ts';
import { binaryJsonText } from './json-binary.ts';

/**
 * MySQL's json becomes jsonb. MariaDB's JSON is an alias of longtext and becomes text, unless a rule makes it jsonb. The stream
 * holds the server's binary form, which this codec prints as text. jsonb turns the texts of snapshot and stream into the same
 * value.
 */
export const json: CodecFamily = (column, conversions) => {
  if (column.type !== 'json') return undefined;
  const write = (text: string, out: { text(source: Uint8Array, start: number, end: number): number }) => {
    const utf8 = Buffer.from(withoutNul(text, conversions), 'utf8');
    out.text(utf8, 0, utf8.length);
  };
  return {
    pgType: 'jsonb',
    fromText: (source, start, end, out) => write(source.toString('utf8', start, end), out),
    fromImage: (code, metadata) =>
      code === binlogType.json
        ? lengthPrefixed(metadata, (source, start, end, out) => write(documentText(source.subarray(start, end)), out))
        : null,
  };
};

/** One byte becomes at most this many characters: `\u001f`. */
const longestEscape = 6;

function documentText(stored: Buffer): string {
  try {
    return binaryJsonText(stored);
  } catch (error) {
    // V8 has no error code for a text that became too long.
    if (stored.length > constants.MAX_STRING_LENGTH / longestEscape && error instanceof Error)
      throw new InvalidValue('a json document is longer than text can be, or damaged');
    // The reader passed its end or met an unknown type.
    if (error instanceof RangeError) throw new InvalidValue('a json document is damaged');
    throw error;
  }
}

/** Replaces the escape of U+0000, which jsonb refuses, by U+FFFD. In `\\u0000` the backslash is escaped, so it stays. */
export function withoutNul(text: string, conversions: Conversions): string {
  if (!text.includes(String.raw`\u0000`)) return text;
  return text.replace(/\\(?:u0000|[^])/g, (escape) => {
    if (escape !== String.raw`\u0000`) return escape;
    conversions.nulReplaced++;
    return String.raw`\ufffd`;
  });
}
