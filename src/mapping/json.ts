import { constants } from 'node:buffer';
import { binlogType } from './binlog-types.ts';
import { type CodecFamily, type Conversions, lengthPrefixed } from './codec.ts';
import { InvalidValue } from './invalid-value.ts';
import { binaryJsonText } from './json-binary.ts';

/**
 * json of MySQL becomes jsonb. (MariaDB's JSON is an alias of longtext and arrives as such; a rule makes it jsonb.) The stream carries the server's
 * binary form, which is printed as text here; jsonb makes one value of both.
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

/** A byte becomes so many characters at most: `\u001f`. */
const longestEscape = 6;

function documentText(stored: Buffer): string {
  try {
    return binaryJsonText(stored);
  } catch (error) {
    // V8 does not tell by a code that a text became too long.
    if (stored.length > constants.MAX_STRING_LENGTH / longestEscape && error instanceof Error)
      throw new InvalidValue('a json document is longer than text can be, or damaged');
    // The reader ran beyond its end or into a type that there is not.
    if (error instanceof RangeError) throw new InvalidValue('a json document is damaged');
    throw error;
  }
}

/** jsonb refuses the escape of U+0000; it becomes U+FFFD. An escaped backslash before `u0000` is no such escape. */
export function withoutNul(text: string, conversions: Conversions): string {
  if (!text.includes(String.raw`\u0000`)) return text;
  return text.replace(/\\(?:u0000|[^])/g, (escape) => {
    if (escape !== String.raw`\u0000`) return escape;
    conversions.nulReplaced++;
    return String.raw`\ufffd`;
  });
}
