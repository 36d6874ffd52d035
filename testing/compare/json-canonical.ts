/**
 * One text for all spellings of a JSON value. Members are sorted by name. Numbers are digits and exponent: jsonb keeps 1e400 and
 * thirty digits, and a double would not. U+0000 becomes U+FFFD because jsonb refuses it.
 */
export function jsonCanonical(text: string): string {
  const parsed: unknown = JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' ? new ExactNumber(context?.source ?? String(value)) : value,
  );
  return print(parsed);
}

class ExactNumber {
  readonly text: string;

  constructor(source: string) {
    const [, sign, integer = '', fraction = '', exponent = '0'] =
      /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
    const digits = `${integer}${fraction}`.replace(/^0+/, '');
    const significant = digits.replace(/0+$/, '');
    const power = Number(exponent) - fraction.length + (digits.length - significant.length);
    this.text = significant === '' ? '0' : `${sign}${significant}e${power}`;
  }
}

function print(value: unknown): string {
  if (value instanceof ExactNumber) return value.text;
  if (typeof value === 'string') return JSON.stringify(value.replaceAll('\0', '\uFFFD'));
  if (Array.isArray(value)) return `[${value.map(print).join(',')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const members = Object.entries(value).map(([name, member]) => `${print(name)}:${print(member)}`);
  return `{${members.sort().join(',')}}`;
}
