/** Control characters, line ends among them, and the signs that turn the direction of text or end a line. */
const unprintable = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/**
 * A line as people may see it on a terminal. Names of tables, columns, databases and accounts come from outside: they must neither control
 * the terminal nor look like another line. In JSON the result means the same as before.
 */
export function printable(line: string): string {
  return line.replaceAll(unprintable, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
