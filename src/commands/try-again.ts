import { tell } from './print.ts';
import { describeError } from '../errors/describe-error.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { backoff, sleep } from '../lifetime/backoff.ts';
import { type Scope, inPart } from '../lifetime/scope.ts';

/** No new attempt begins later. A frozen connection alone takes half a minute, on a busy machine more. */
const patienceMs = 300_000;

/**
 * Does `work` until it succeeds, or fails for a reason that a fresh connection does not cure. Each attempt has connections of its own, and
 * says on stderr why another one follows.
 */
export async function tryAgain<T>(scope: Scope, work: (attempt: Scope) => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  for (let failures = 1; ; failures++) {
    try {
      return await inPart(scope, work);
    } catch (error) {
      if (!(error instanceof TidegateError) || error.action !== 'retry') throw error;
      if (performance.now() - startedAt > patienceMs) throw error;
      const delayMs = backoff(failures);
      tell(`${describeError(error).message}; next attempt in ${delayMs} ms`);
      await sleep(delayMs, scope.signal);
    }
  }
}
