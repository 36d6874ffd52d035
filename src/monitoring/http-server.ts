import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { ListenConfig } from '../config/config.ts';
import { ConnectionSlots } from './http-slots.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Monitor } from './monitor.ts';

/** Time between attempts: another process may hold the port for a while, as after a restart. */
const retryMs = 30_000;

/** How long a client may take. Node looks at its connections only every 30 s unless it is told otherwise. */
const deadlines = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
} as const;

/** Connections that the kernel keeps until they are accepted. With Node's 511 it drops some of a burst, and they try again only a second later. */
const mostBacklog = 4_096;

/** The page may load files from this server only. */
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
 * Serves the status page, /status.json, /history.json, /metrics, /healthz and /readyz. It serves only what is already known, so that
 * requests cost the databases nothing, however many there are. If the port is taken, it logs a warning and tries again; replication
 * continues.
 */
export function serveStatus(listen: ListenConfig, { log, metrics, monitor }: Served): { close(): Promise<void> } {
  const open = probeRoutes(monitor);
  const guarded = statusRoutes(monitor, metrics);
  const slots = new ConnectionSlots();
  const server = createServer(deadlines, (request, response) => {
    if (!slots.asked(request.socket, response)) return;
    answer(request, listen, open, guarded)
      .catch((error: unknown): Answer => {
        log.error({ err: error }, 'request failed');
        return plain(500, 'The request failed; see the log.');
      })
      .then(
        (answered) => send(request, response, answered),
        () => response.destroy(),
      );
  });
  server.on('connection', (socket) => slots.opened(socket));
  const begin = () => server.listen({ port: listen.port, host: listen.host, backlog: mostBacklog });
  let retry: NodeJS.Timeout | undefined;
  let loggedCode: string | undefined;
  server.on('error', (error: NodeJS.ErrnoException) => {
    // Log each code once: the port may be taken for days.
    if (error.code !== loggedCode)
      log.warn(
        {
          ...{ code: error.code, host: listen.host, port: listen.port },
          remedy: `set LISTEN to another address or to off; replication continues, and the next attempt is in ${retryMs / 1000} s`,
        },
        'no status page: cannot listen on LISTEN',
      );
    loggedCode = error.code;
    retry = setTimeout(begin, retryMs);
  });
  server.on('listening', () => {
    const { port } = server.address() as AddressInfo;
    log.info({ url: `http://${isIP(listen.host) === 6 ? `[${listen.host}]` : listen.host}:${port}/` }, 'status page');
  });
  begin();
  return {
    close: async () => {
      clearTimeout(retry);
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/** Probes for process supervisors and load balancers. They show only the state and need no token. */
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
      await monitor.measured();
      if (monitor.document === null) return plain(503, 'The service stopped before its first measurement.');
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
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'Only GET and HEAD are allowed.');
  const [path = '', query = ''] = (request.url ?? '').split('?', 2);
  const parameters = new URLSearchParams(query);
  if (Object.hasOwn(open, path)) return await (open[path] as Route)(parameters);
  if (token === null) {
    // DNS rebinding: a browser would let a foreign page read this one if the page's host name resolves to loopback.
    if (!isNamedLoopback(request.headers.host)) return plain(421, 'Use the loopback address or localhost.');
  } else if (!knows(request.headers.authorization, token)) return plain(401, 'The token of LISTEN_TOKEN is required.');
  if (!Object.hasOwn(guarded, path)) return plain(404, 'Not found.');
  return await (guarded[path] as Route)(parameters);
}

function isNamedLoopback(host = ''): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  return name === 'localhost' || name === '[::1]' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** Compares in constant time. */
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
