import { findProgram, runCommand } from './servers/command.ts';
import { debianRoot, programOf } from './servers/debian.ts';

/** What `promtool` says: the one of this machine, or Debian's, unpacked into the cache. Raises what it complains of. */
export async function promtool(args: readonly string[], input = ''): Promise<string> {
  const here = await findProgram(['promtool']);
  const [command = '', ...prefix] =
    here === null ? await programOf(await debianRoot('bookworm', ['prometheus']), 'usr/bin/promtool') : [here];
  return await runCommand(command, [...prefix, ...args], { cwd: new URL('../', import.meta.url).pathname, input });
}
