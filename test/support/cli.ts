import { spawn } from 'node:child_process';
import { commandEnv } from '../../testing/command-env.ts';
import { program } from '../../testing/program.ts';

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `tidegate …` of this checkout to its end. `env` contains all its settings. */
export async function runCli(args: readonly string[], env: Readonly<Record<string, string>>): Promise<CommandResult> {
  return await new Promise<CommandResult>((resolve, reject) => {
    const child = spawn(process.execPath, [program(), ...args], {
      cwd: new URL('../..', import.meta.url),
      env: commandEnv(env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
