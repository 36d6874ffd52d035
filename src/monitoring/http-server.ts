import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { ListenConfig } from '../config/config.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Monitor } from './monitor.ts';

/** Another process may have the port for a while, as after a restart. */
const againMs = 30_000;

/** What the page may do: show what this server gives it, and nothing else. */
const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

const types = { html: 'text/html', css: 'text/css', js: 'text/javascript', json: 'application/json' } as const;

interface Answer {
  readonly status?: number;
  readonly type: string;
  readonly body: string | Buffer;
}

type Route = (query: URLSearchParams) => Answer | Promise<Answer>;

export interface Served {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly monitor: Monitor;
}

/**
 * Serves the status page, /status.json, /history.json, /metrics, /healthz and /readyz. It only ever reads what is known already:
 * nobody who asks, however often, costs the databases anything. A port that cannot be had is warned of and tried again;
 * replication goes on.
 */
export function serveStatus(listen: ListenConfig, { log, metrics, monitor }: Served): { close(): Promise<void> } {
  const open = probeRoutes(monitor);
  const guarded = statusRoutes(monitor, metrics);
  const server = createServer((request, response) => {
    answer(request, listen, open, guarded)
      .catch((error: unknown): Answer => {
        log.error({ err: error }, 'a request could not be answered');
        return plain(500, 'This could not be answered; the log has more.');
      })
      .then(
        (answered) => send(request, response, answered),
        () => response.destroy(),
      );
  });
  // Nobody who is slow, or many, keeps it from the others.
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  server.maxConnections = 100;
  let again: NodeJS.Timeout | undefined;
  let said: string | undefined;
  server.on('error', (error: NodeJS.ErrnoException) => {
    // Once: it may be so for days.
    if (error.code !== said)
      log.warn(
        {
          ...{ code: error.code, host: listen.host, port: listen.port },
          remedy: `set LISTEN to another address or to off; replication goes on without, and it is tried again every ${againMs / 1000} s`,
        },
        'no status page: LISTEN cannot be had',
      );
    said = error.code;
    again = setTimeout(() => server.listen(listen.port, listen.host), againMs);
  });
  server.on('listening', () => {
    const { port } = server.address() as AddressInfo;
    log.info({ url: `http://${isIP(listen.host) === 6 ? `[${listen.host}]` : listen.host}:${port}/` }, 'status page');
  });
  server.listen(listen.port, listen.host);
  return {
    close: async () => {
      clearTimeout(again);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** For whoever restarts or routes by them; they tell a word and need no token. */
function probeRoutes(monitor: Monitor): Readonly<Record<string, Route>> {
  const state = (status: number) => ({ status, type: types.json, body: JSON.stringify({ state: monitor.state }) });
  return {
    '/healthz': () => state(200),
    '/readyz': () => state(monitor.state === 'streaming' || monitor.state === 'standby' ? 200 : 503),
  };
}

function statusRoutes(monitor: Monitor, metrics: Metrics): Readonly<Record<string, Route>> {
  const file = (type: string, url: string): Route => {
    const body = readFileSync(fileURLToPath(url));
    return () => ({ type, body });
  };
  const folder = new URL('./page/', import.meta.url);
  const page = readdirSync(folder).map((name): [path: string, Route] => [
    name === 'index.html' ? '/' : `/${name}`,
    file(types[name.split('.').at(-1) as keyof typeof types], new URL(name, folder).href),
  ]);
  return {
    ...Object.fromEntries(page),
    '/uplot.css': file(types.css, import.meta.resolve('uplot/dist/uPlot.min.css')),
    '/uplot.js': file(types.js, import.meta.resolve('uplot/dist/uPlot.iife.min.js')),
    '/status.json': async () => {
      await monitor.looked();
      if (monitor.document === null) return plain(503, 'It ended before it knew anything.');
      return { type: types.json, body: JSON.stringify(monitor.document) };
    },
    '/history.json': (query) => ({
      type: types.json,
      body: JSON.stringify({ points: monitor.pointsAfter(Number(query.get('after') ?? 0) || 0) }),
    }),
    '/metrics': async () => ({ type: metrics.contentType, body: await metrics.text() }),
  };
}

async function answer(
  request: IncomingMessage,
  { token }: ListenConfig,
  open: Readonly<Record<string, Route>>,
  guarded: Readonly<Record<string, Route>>,
): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'Nothing can be changed here.');
  const [path = '', query = ''] = (request.url ?? '').split('?', 2);
  const parameters = new URLSearchParams(query);
  if (Object.hasOwn(open, path)) return await (open[path] as Route)(parameters);
  if (token === null) {
    // A page from elsewhere whose name was made to lead here would be let in by the browser.
    if (!isNamedLoopback(request.headers.host)) return plain(421, 'Ask for this by its address or as localhost.');
  } else if (!knows(request.headers.authorization, token)) return plain(401, 'This takes the token of LISTEN_TOKEN.');
  if (!Object.hasOwn(guarded, path)) return plain(404, 'There is no such page.');
  return await (guarded[path] as Route)(parameters);
}

function isNamedLoopback(host = ''): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  return name === 'localhost' || name === '[::1]' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** Compared in the same time whatever is wrong with it. */
function knows(authorization = '', token: string): boolean {
  const [scheme = '', sent = ''] = authorization.split(' ', 2);
  const basic = () =>
    Buffer.from(sent, 'base64')
      .toString()
      .replace(/^[^:]*:/, '');
  const given = scheme.toLowerCase() === 'basic' ? basic() : scheme.toLowerCase() === 'bearer' ? sent : '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}

function plain(status: number, text: string): Answer {
  return { status, type: 'text/plain', body: `${text}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, { status = 200, type, body }: Answer): void {
  response.writeHead(status, {
    ...securityHeaders,
    'content-type': type.includes('charset') ? type : `${type}; charset=utf-8`,
    'content-length': Buffer.byteLength(body),
    ...(status === 401 ? { 'www-authenticate': 'Basic realm="Tidegate", charset="UTF-8"' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
