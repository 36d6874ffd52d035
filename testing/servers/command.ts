import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** Runs a program to its end and returns its output. If it fails, the error contains its error output. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; input?: string; cwd?: string; uid?: number; gid?: number } = {},
): Promise<string> {
  const { input, ...rest } = options;
  return await new Promise<string>((resolve, reject) => {
    const child = execFile(command, [...args], { maxBuffer: 64 * 1024 * 1024, ...rest }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} failed: ${stderr.trim().slice(-2_000) || error.message}`));
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input ?? '');
  });
}

/** The first of these programs that exists in PATH or in `folders`. */
export async function findProgram(names: readonly string[], folders: readonly string[] = []): Promise<string | null> {
  for (const name of names)
    for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...folders]) {
      const path = join(folder, name);
      const found = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return path;
    }
  return null;
}
