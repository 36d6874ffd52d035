import { fileURLToPath } from 'node:url';

const compiled = fileURLToPath(new URL('../.cache/compiled', import.meta.url));

/**
 * All that a command of this checkout gets of an environment: `env`, where programs are, and where Node keeps what it compiled, which
 * halves the time that each takes to start.
 */
export function commandEnv(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compiled, ...env };
}
