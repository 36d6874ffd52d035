/** The origins of a server, in the order in which they are tried. */
export type Origin = 'machine' | 'container' | 'fetched';

const order: readonly Origin[] = ['machine', 'container', 'fetched'];

/** An origin throws this if it has no such server. If it has one that fails to start, it throws another error. */
export class NotHere extends Error {}

/**
 * Tries one origin after another. TIDEGATE_SERVERS names the only origin to try. A missing origin cannot do what is asked for, so
 * naming it excludes nothing.
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
      // An existing server that does not start is a fault to fix; no other origin is tried.
      if (!(error instanceof NotHere)) break;
    }
  }
  throw new Error(`no ${what} available; tried:\n${tried.join('\n')}`);
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
