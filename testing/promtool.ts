import { findProgram, runCommand } from './servers/command.ts';
import { debianRoot, programOf } from './servers/debian.ts';

/**
 * The output of `promtool`: the one on this machine, or Debian's, unpacked into the cache. Throws if promtool reports a problem.
 */
export async function promtool(args: readonly string[], input = ''): Promise<string> {
  const here = await findProgram(['promtool']);
  const [command = '', ...prefix] =
    here === null ? await programOf(await debianRoot('bookworm', ['prometheus']), 'usr/bin/promtool') : [here];
  return await runCommand(command, [...prefix, ...args], { cwd: new URL('../', import.meta.url).pathname, input });
}
