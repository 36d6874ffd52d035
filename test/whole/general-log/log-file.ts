import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Logged } from './logged.ts';

/** Time (left out where it is the one before, or with a zone), connection, command, and what it says, which may go on in more lines. */
const entry = /^(?:\d{6} [ \d]\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+|\t)\t *(\d+) ([A-Z][A-Za-z ]+?)\t(.*)$/;
/** A server begins its log, also anew after a restart, by saying what it is, in three lines. */
const banner = /, Version: .* started with:$/;
/** What the tests call Tidegate's users. */
const user = /^(rd|rp)/;

/** What Tidegate's users asked, of all that is in a server's general log. */
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
