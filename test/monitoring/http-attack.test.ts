import { get } from 'node:http';
import { type Socket, connect } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Streaming } from '../pipeline/stream/support/streaming.ts';

const token = 'a-token-of-the-tests-0123';
const probes = 25;
/** What a process supervisor waits, and how many late answers in a row it allows. */
const probeMs = 1_000;
const mostLate = 3;

let streaming: Streaming;
let url: URL;
const attackers = new Set<Socket>();
/** Connections of attackers that the server closed. */
let hungUp = 0;
/** Aborted when the attack is over. */
let attacking: AbortController;

beforeAll(async () => {
  streaming = await Streaming.start(
    async (admin) => {
      await admin.query('create table visit (id int not null primary key) engine=InnoDB');
    },
    undefined,
    { LISTEN: '127.0.0.1:0', LISTEN_TOKEN: token },
  );
  url = new URL(String((await streaming.run.logged('status page'))['url']));
});

beforeEach(() => {
  attacking = new AbortController();
  hungUp = 0;
});

afterEach(() => {
  attacking.abort();
  for (const socket of attackers) socket.destroy();
});

afterAll(async () => {
  await streaming?.end();
});

/** Opens a connection that is opened again whenever the server closes it. `begin` is what the client does with it. */
function attack(begin: (socket: Socket) => void, localAddress = '127.0.0.1'): void {
  const { signal } = attacking;
  const socket = connect({ port: Number(url.port), host: '127.0.0.1', localAddress });
  attackers.add(socket);
  socket.on('error', () => undefined);
  socket.on('connect', () => begin(socket));
  socket.on('close', () => {
    attackers.delete(socket);
    if (signal.aborted) return;
    hungUp++;
    // Without a pause the attackers would take the whole machine, and nothing could be said of the server.
    setTimeout(() => signal.aborted || attack(begin, localAddress), 1_000);
  });
}

/** One byte of a request, and never another one. */
const sendsOneByte = (socket: Socket) => void socket.resume().write('G');

/** Asks again and again and reads nothing, so that the buffers of the sockets are full and an answer cannot be sent. */
const readsNothing = (socket: Socket) => {
  const head = `GET /uplot.js HTTP/1.1\r\nHost: ${url.host}\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  const asking = setInterval(() => socket.write(head), 200);
  socket.pause().on('close', () => clearInterval(asking));
};

async function connected(count: number): Promise<void> {
  await expect.poll(() => [...attackers].filter(({ connecting }) => !connecting).length).toBeGreaterThanOrEqual(count);
}

/** The status that a supervisor gets. An answer may be late on a busy machine; a connection that is closed counts at once. */
async function probe(path: string): Promise<number | undefined> {
  for (let late = 1; ; late++)
    try {
      return await ask(path);
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'AbortError' || late === mostLate) throw error;
    }
}

/** The status of an answer that is complete in time. */
async function ask(path: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const request = get(
      new URL(path, url),
      {
        agent: false,
        signal: AbortSignal.timeout(probeMs),
        headers: { authorization: `Bearer ${token}` },
      },
      (response) => {
        response.on('error', reject).on('end', () => resolve(response.statusCode));
        response.resume();
      },
    );
    request.on('error', reject);
  });
}

async function everyProbeIsAnswered(): Promise<void> {
  for (let i = 0; i < probes; i++)
    for (const path of ['/healthz', '/metrics', '/']) expect(await probe(path)).toBe(200);
}

test.each([200, 600])(
  "%i clients of the probe's own address that send one byte each do not keep it out",
  async (clients) => {
    for (let i = 0; i < clients; i++) attack(sendsOneByte);
    await connected(200);
    await everyProbeIsAnswered();
  },
);

test('1,200 clients of ten addresses that open a connection again and again do not keep probes out', async () => {
  for (let i = 0; i < 1_200; i++) attack(sendsOneByte, `127.0.0.${2 + (i % 10)}`);
  await connected(1_000);
  await everyProbeIsAnswered();
});

test('100 clients that read nothing of what they ask for do not keep probes out', async () => {
  for (let i = 0; i < 100; i++) attack(readsNothing, `127.0.0.${1 + (i % 4)}`);
  // The server closes such connections only when answers are stuck.
  await expect.poll(() => hungUp).toBeGreaterThan(0);
  await everyProbeIsAnswered();
});

test('a client that sends half a request or none is hung up on', async () => {
  const closed = ['', 'GET / HTTP/1.1\r\nHost: '].map(
    async (text) =>
      await new Promise<void>((resolve) => {
        const socket = connect(Number(url.port), '127.0.0.1');
        socket.on('error', () => undefined).on('close', () => resolve());
        socket.resume().write(text);
      }),
  );
  await Promise.all(closed);
  expect(await probe('/healthz')).toBe(200);
});
