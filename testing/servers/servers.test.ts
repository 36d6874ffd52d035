import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startSource } from './source.ts';
import { startTarget } from './target.ts';

const program = fileURLToPath(new URL('./hold.ts', import.meta.url));
/** Whether processes are visible as files. */
const canLook = process.platform === 'linux';

/** The servers of a test may write only below this folder. */
let folder: string;
let holder: ChildProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'servers-test-'));
  // The account that PostgreSQL runs as must be able to pass through.
  await chmod(folder, 0o711);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  holder?.kill('SIGKILL');
  holder = undefined;
  await rm(folder, { recursive: true, force: true });
});

/** Starts a program that runs two servers; returns their process ids. */
async function hold(): Promise<{ holder: ChildProcess; pids: number[] }> {
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  holder = child;
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([once(lines, 'line'), once(child, 'exit')]);
  const pids = JSON.parse(String(line[0])) as number[];
  expect(pids).toHaveLength(2);
  expect(await Promise.all(pids.map(runs))).toEqual([true, true]);
  expect(await readdir(folder)).toHaveLength(2);
  return { holder: child, pids };
}

/** A zombie, an ended process whose parent has not waited for it, counts as ended. */
async function runs(pid: number): Promise<boolean> {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return state !== null && !/^\d+ \(.*\) Z/su.test(state);
}

test.skipIf(!canLook)('stopped servers leave no process and no file', async () => {
  const held = await hold();
  held.holder.stdin?.end();
  expect(await once(held.holder, 'exit')).toEqual([0, null]);
  expect(await Promise.all(held.pids.map(runs))).toEqual([false, false]);
  expect(await readdir(folder)).toEqual([]);
});

test.skipIf(!canLook).for(['SIGKILL', 'SIGINT'] as const)(
  'servers of a program that dies by %s leave no process and no file',
  async (signal) => {
    const held = await hold();
    held.holder.kill(signal);
    expect(await once(held.holder, 'exit')).toEqual([null, signal]);
    await expect.poll(async () => await Promise.all(held.pids.map(runs))).toEqual([false, false]);
    await expect.poll(async () => await readdir(folder)).toEqual([]);
  },
);

test.for(['machine', 'fetched'])(
  'a version that no origin has is refused with a list of the origins tried: %s',
  async (origin) => {
    vi.stubEnv('TIDEGATE_SERVERS', origin);
    const tried = new RegExp(`no (mariadb|postgres) 0\\.1 available; tried:\n  ${origin}: .`, 'u');
    await expect(startSource({ version: '0.1' })).rejects.toThrow(tried);
    await expect(startTarget({ version: '0.1' })).rejects.toThrow(tried);
  },
);

test.skipIf(!canLook)('a server that does not start shows its log and leaves no file', async () => {
  vi.stubEnv('TMPDIR', folder);
  await expect(startSource({ args: ['--no-such-option'], asProcess: true })).rejects.toThrow('no-such-option');
  expect(await readdir(folder)).toEqual([]);
});
