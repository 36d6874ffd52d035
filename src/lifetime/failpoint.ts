/** Steps of the pipeline. A crash between two of them must neither lose nor duplicate a row. */
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
 * Kills this process, as a power loss would, at the n-th pass of the step in TIDEGATE_FAILPOINT=step:n. It serves tests of crash
 * safety and does nothing without that variable.
 */
export function failpoint(step: Failpoint): void {
  if (step !== wanted) return;
  passes++;
  if (passes === Number(count)) process.kill(process.pid, 'SIGKILL');
}
