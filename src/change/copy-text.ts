const escapes: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', '\\': '\\' };
const escaped: Readonly<Record<string, string>> = { '\t': '\\t', '\n': '\\n', '\r': '\\r', '\\': '\\\\' };

/** The value of a field of COPY text; NULL is null. */
export function fromCopyText(field: string): string | null {
  if (!field.includes('\\')) return field;
  if (field === String.raw`\N`) return null;
  return field.replaceAll(/\\(.)/g, (_, char: string) => escapes[char] ?? char);
}

/** A value as a field of COPY text. */
export function toCopyText(value: string): string {
  return value.replaceAll(/[\t\n\r\\]/g, (char) => escaped[char] ?? char);
}
