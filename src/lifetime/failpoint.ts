/** The steps between which a crash must lose and double nothing. */
export type Failpoint =
  | 'batch-applied'
  | 'checkpoint-written'
  | 'committed'
  | 'chunk-copied'
  | 'chunk-committed'
  | 'chunk-merged'
  | 'job-advanced';

const [wanted, count = '1'] = (process.env['TIDEGATE_FAILPOINT'] ?? '').split(':');
let passes = 0;

/**
 * Kills this process, as power loss would, when it passes the step that TIDEGATE_FAILPOINT=step:n names for the n-th time.
 * For tests of crash safety; without that variable it does nothing.
 */
export function failpoint(step: Failpoint): void {
  if (step !== wanted) return;
  passes++;
  if (passes === Number(count)) process.kill(process.pid, 'SIGKILL');
}
