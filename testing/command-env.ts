import { fileURLToPath } from 'node:url';

const compiled = fileURLToPath(new URL('../.cache/compiled', import.meta.url));

/**
 * The entire environment of a command of this checkout: `env`, the path of programs, and Node's compile cache. The cache halves
 * the start-up time of each command.
 */
export function commandEnv(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compiled, ...env };
}
