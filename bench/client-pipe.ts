import { spawn } from 'node:child_process';

/** A command with the variables that contain its password; a command line must never contain passwords. */
export interface PipeEnd {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Runs `from | to` and returns its wall time in milliseconds; throws when either side fails. */
export async function runPipe(from: PipeEnd, to: PipeEnd): Promise<number> {
  const startedAt = performance.now();
  const writer = start(from, ['ignore', 'pipe', 'pipe']);
  const reader = start(to, [writer.stdout, 'ignore', 'pipe']);
  // The pipe belongs to the reader now. If this end stayed open, the reader would not see the end of file of a failed writer.
  writer.stdout?.destroy();
  await Promise.all([ended(writer, from), ended(reader, to)]);
  return performance.now() - startedAt;
}

function start(end: PipeEnd, stdio: NonNullable<Parameters<typeof spawn>[2]>['stdio']): ReturnType<typeof spawn> {
  const [program = '', ...args] = end.command;
  return spawn(program, args, { env: { PATH: process.env['PATH'], ...end.env }, stdio });
}

async function ended(child: ReturnType<typeof spawn>, end: PipeEnd): Promise<void> {
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${end.command[0]} ended with ${code}: ${complaint.slice(0, 500)}`);
}
