import { readFile } from 'node:fs/promises';
import { assertAllowedStatement } from '../../../src/mysql/guard/statement-guard.ts';
import { documentedShapes, shapeOf } from './statement-shape.ts';

/** A log entry of one of Tidegate's users. */
export interface Logged {
  readonly role: 'reader' | 'replicator';
  /** 'Connect', 'Query', 'Quit', 'Binlog Dump' … */
  readonly command: string;
  readonly text: string;
}

export async function readDocumentedShapes(): Promise<ReturnType<typeof documentedShapes>> {
  return documentedShapes(await readFile(new URL('../../../docs/safety.md', import.meta.url), 'utf8'));
}

/** The shapes of the statements, by role, and the entries that docs/safety.md does not list or the guard would refuse. */
export async function judge(
  logged: Iterable<Logged> | AsyncIterable<Logged>,
): Promise<{ seen: Record<Logged['role'], Set<string>>; unlisted: string[] }> {
  const documented = await readDocumentedShapes();
  const seen = { reader: new Set<string>(), replicator: new Set<string>() };
  const unlisted = new Set<string>();
  for await (const { role, command, text } of logged) {
    if (command === 'Query') {
      const shape = shapeOf(text);
      const isListed = [...documented.both, ...documented[role]].includes(shape);
      seen[role].add(shape);
      if (!isListed || !isAllowed(text)) unlisted.add(`${role}: ${shape}`);
    } else if (
      !(role === 'replicator' ? [...session, ...dump] : session).includes(command) &&
      !isFailedLogin(command, text)
    )
      unlisted.add(`${role}: ${command}`);
  }
  return { seen, unlisted: [...unlisted] };
}

const session = ['Connect', 'Quit'];
const dump = ['Binlog Dump', 'Binlog Dump GTID'];

/** MariaDB logs a second entry for a login that names a missing or forbidden database. */
function isFailedLogin(command: string, text: string): boolean {
  return command === 'Init DB' && /^(Access denied|Unknown database) /.test(text);
}

function isAllowed(sql: string): boolean {
  try {
    assertAllowedStatement(sql);
    return true;
  } catch {
    return false;
  }
}
