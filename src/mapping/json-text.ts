import type { Conversions } from './codec.ts';

/** Replaces the escape of U+0000, which jsonb refuses, by U+FFFD. In `\\u0000` the backslash is escaped, so it stays. */
export function withoutNul(text: string, conversions: Conversions): string {
  if (!text.includes(String.raw`\u0000`)) return text;
  return text.replace(/\\(?:u0000|[^])/g, (escape) => {
    if (escape !== String.raw`\u0000`) return escape;
    conversions.nulReplaced++;
    return String.raw`\ufffd`;
  });
}
