import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Logged } from './logged.ts';

/**
 * An entry of the log: time, connection, command, and the text, which may continue on further lines. The time is omitted if it
 * equals the previous one, or has a zone.
 */
const entry = /^(?:\d{6} [ \d]\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+|\t)\t *(\d+) ([A-Z][A-Za-z ]+?)\t(.*)$/;
/** A server starts its log, also after a restart, with three lines that describe the server. */
const banner = /, Version: .* started with:$/;
/** The prefixes of the names of Tidegate's users in the tests. */
const user = /^(rd|rp)/;

/** The entries of Tidegate's users in a server's general log. */
export async function* readLogFile(file: string): AsyncGenerator<Logged> {
  const roles = new Map<string, Logged['role']>();
  let open = null as Logged | null;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [, connection = '', command = '', text = ''] = entry.exec(line) ?? [];
    if (command === '') {
      if (open !== null && banner.test(line)) {
        yield open;
        open = null;
      }
      if (open !== null) open = { ...open, text: `${open.text}\n${line}` };
      continue;
    }
    if (open !== null) yield open;
    if (command === 'Connect') {
      const found = user.exec(text)?.[1];
      if (found === undefined) roles.delete(connection);
      else roles.set(connection, found === 'rd' ? 'reader' : 'replicator');
    }
    const role = roles.get(connection);
    open = role === undefined ? null : { role, command, text };
  }
  if (open !== null) yield open;
}
