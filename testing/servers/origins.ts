/** Where a server may come from, in the order they are tried. */
export type Origin = 'machine' | 'container' | 'fetched';

const order: readonly Origin[] = ['machine', 'container', 'fetched'];

/** Raised by an origin that simply has no such server, as opposed to one that has it and fails to start it. */
export class NotHere extends Error {}

/**
 * Tries one origin after the other; TIDEGATE_SERVERS names the only one to try. An origin that is left out cannot do what is
 * asked for, so naming it rules nothing out.
 */
export async function firstToWork<T>(
  what: string,
  origins: Readonly<Partial<Record<Origin, () => Promise<T>>>>,
): Promise<T> {
  const forced = process.env['TIDEGATE_SERVERS'] ?? '';
  if (forced !== '' && !order.some((origin) => origin === forced))
    throw new Error(`TIDEGATE_SERVERS must be one of ${order.join(', ')}`);
  const tried: string[] = [];
  for (const origin of order) {
    const start = origins[origin];
    if (start === undefined || (forced !== '' && forced in origins && forced !== origin)) continue;
    try {
      return await start();
    } catch (error) {
      tried.push(`  ${origin}: ${error instanceof Error ? error.message : String(error)}`);
      // A server that is there and does not start is a fault to repair, not a reason to look elsewhere.
      if (!(error instanceof NotHere)) break;
    }
  }
  throw new Error(`no ${what} to be had; tried:\n${tried.join('\n')}`);
}

export function urlFrom(variable: string): { host: string; port: number; user: string; password: string } | null {
  const text = process.env[variable];
  if (text === undefined || text === '') return null;
  const url = new URL(text);
  return {
    host: url.hostname,
    port: Number(url.port || (url.protocol.startsWith('postgres') ? 5432 : 3306)),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  };
}
