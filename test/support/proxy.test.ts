import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Proxy } from './proxy.ts';

/** A server that answers each packet with the same packet, and keeps all it has heard. */
let server: Server;
let heard: string;
let proxy: Proxy;

beforeEach(async () => {
  heard = '';
  server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (packet) => {
      heard += String(packet);
      socket.write(packet);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await Proxy.start({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  server.close();
});

async function open(): Promise<Socket> {
  const socket = connect(proxy.port, proxy.host);
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Sends a packet and waits for the answer; null: the connection ended instead. */
async function ask(socket: Socket, packet: string): Promise<string | null> {
  const answered = Promise.race([
    once(socket, 'data').then(([answer]) => String(answer)),
    once(socket, 'close').then(() => null),
  ]);
  socket.write(packet);
  return await answered;
}

test('passes everything, and counts connections and packets', async () => {
  const [first, second] = [await open(), await open()];
  expect(await ask(first, 'one')).toBe('one');
  expect(await ask(second, 'two')).toBe('two');
  expect(proxy).toMatchObject({ connections: 2, packets: 2, open: 2, cuts: 0 });
  const closed = once(first, 'close');
  proxy.cut();
  await closed;
  expect(proxy).toMatchObject({ cuts: 2, open: 0 });
});

test('cuts one connection, by a reset', async () => {
  const [first, second] = [await open(), await open()];
  expect(await ask(first, 'one')).toBe('one');
  expect(await ask(second, 'two')).toBe('two');
  const failed = once(second, 'error');
  expect(proxy.cut({ how: 'reset', only: 1 })).toBe(1);
  expect(await failed).toMatchObject([{ code: 'ECONNRESET' }]);
  expect(await ask(first, 'three')).toBe('three');
});

test('cuts at a packet, which is lost', async () => {
  proxy.cutAtPacket(2);
  const socket = await open();
  expect(await ask(socket, 'one')).toBe('one');
  expect(await ask(socket, 'two')).toBeNull();
  expect(heard).toBe('one');
  expect(await ask(await open(), 'three')).toBe('three');
});

test('loses the answer of a packet, which arrives', async () => {
  proxy.loseAnswerOfPacket(1, (packet) => packet.includes('commit'));
  const socket = await open();
  expect(await ask(socket, 'one')).toBe('one');
  expect(await ask(socket, 'commit')).toBeNull();
  expect(heard).toBe('onecommit');
});

test('resets at a packet, which is lost', async () => {
  const fault = proxy.faultAtPacket('reset', 1);
  const socket = await open();
  const failed = once(socket, 'error');
  socket.write('one');
  expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' });
  expect(fault).toEqual({ isMet: true, isOver: true });
  expect(heard).toBe('');
});

test('freezes at a packet until the client leaves, and tells nobody', async () => {
  const fault = proxy.faultAtPacket('freeze', 2);
  const socket = await open();
  expect(await ask(socket, 'one')).toBe('one');
  socket.write('two');
  await expect.poll(() => fault.isMet).toBe(true);
  expect(fault.isOver).toBe(false);
  socket.destroy();
  await expect.poll(() => fault.isOver).toBe(true);
  expect(heard).toBe('one');
  expect(proxy.open).toBe(1);
});

test('holds a packet up, and passes it even after its client has left', async () => {
  const fault = proxy.faultAtPacket('delay', 1);
  const socket = await open();
  socket.write('one');
  await expect.poll(() => fault.isMet).toBe(true);
  socket.write('two');
  socket.destroy();
  expect(heard).toBe('');
  await expect.poll(() => heard, { timeout: 10_000 }).toBe('onetwo');
  expect(fault.isOver).toBe(true);
});

test('flips a bit once behind a pattern, on whichever connection it comes and however it is cut', async () => {
  proxy.flip({ direction: 'up', pattern: Buffer.from('needle'), behind: 1 });
  const socket = await open();
  await ask(socket, 'nee');
  expect(await ask(socket, 'dle:abc')).toBe('dle:`bc');
  expect(await ask(socket, 'needle:abc')).toBe('needle:abc');
  expect(proxy.flips).toBe(1);
});

test('swallows the answers of open connections, and everything of new ones', async () => {
  const socket = await open();
  expect(await ask(socket, 'one')).toBe('one');
  proxy.mode = 'half';
  const answers: string[] = [];
  socket.on('data', (answer) => answers.push(String(answer)));
  socket.write('two');
  await expect.poll(() => heard).toBe('onetwo');
  proxy.mode = 'swallow';
  const silent = await open();
  silent.write('three');
  proxy.mode = 'pass';
  expect(await ask(await open(), 'four')).toBe('four');
  expect(answers).toEqual([]);
  expect(heard).toBe('onetwofour');
});
