import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const withNode = fileURLToPath(new URL('../../scripts/with-node.mjs', import.meta.url));

// Prints each signal it gets. It ends by itself a little after the first, so that a second one is still printed.
const listener = `
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {
  console.log(signal);
  setTimeout(() => process.exit(7), 500);
});
setInterval(() => {}, 1000);
console.log('listening');
`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'with-node-'));
  await writeFile(join(folder, 'listener.mjs'), listener);
  await writeFile(join(folder, 'echo.mjs'), `console.log(process.argv.slice(2).join('|')); process.exit(3);`);
  await writeFile(join(folder, 'killed.mjs'), `process.kill(process.pid, 'SIGKILL');`);
});

afterAll(async () => await rm(folder, { recursive: true }));

test('arguments reach the program, and its exit code comes back', async () => {
  const { code, output } = await end(spawn(process.execPath, [withNode, join(folder, 'echo.mjs'), 'a b', '--c']));
  expect({ code, output }).toEqual({ code: 3, output: 'a b|--c\n' });
});

test('a program killed by a signal is distinguished from one that exited', async () => {
  const { signal } = await end(spawn(process.execPath, [withNode, join(folder, 'killed.mjs')]));
  expect(signal).toBe('SIGKILL');
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s to it alone reaches the program once', async (signal) => {
  // In its own session there is no terminal that could have sent the signal to the group.
  const child = spawn(process.execPath, [withNode, join(folder, 'listener.mjs')], { detached: true });
  await once(child.stdout, 'data');
  child.kill(signal);
  expect(await end(child)).toEqual({ code: 7, signal: null, output: `${signal}\n` });
});

test('a signal to npm stops the program, although the shell between them does not forward it', async () => {
  const command = `"${process.execPath}" "${withNode}" "${join(folder, 'listener.mjs')}"; true`;
  const shell = spawn('/bin/sh', ['-c', command], {
    detached: true,
    env: { ...process.env, npm_lifecycle_event: 'start' },
  });
  await once(shell.stdout, 'data');
  shell.kill('SIGTERM');
  expect((await end(shell)).output).toBe('SIGTERM\n');
});

async function end(child: ChildProcess) {
  let output = '';
  child.stdout?.on('data', (text: Buffer) => (output += text.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, output };
}
