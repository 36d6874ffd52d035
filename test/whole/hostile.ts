import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { hostileRound } from './hostile/round.ts';

/**
 * Feeds damaged and hostile events, documents and packets to what reads them: `npm run hostile -- [--count 1000000] [--seed N] [--first N]`.
 * Exit code 1 if one leads to anything but a clear error, takes more than a second, or more than 64 MiB.
 */
const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    first: { type: 'string', default: '0' },
  },
});

/** Ends the process when an input hangs. A thread of its own notices that. */
const watched = new Int32Array(new SharedArrayBuffer(4));
const watch = new Worker(
  `const { workerData } = require('node:worker_threads');
   let last = -1;
   setInterval(() => {
     const now = Atomics.load(workerData, 0);
     if (now === last) { console.error('input ' + now + ' takes more than 20 s'); process.kill(process.pid, 'SIGKILL'); }
     last = now;
   }, 20000);`,
  { eval: true, workerData: watched },
);
const startedAt = performance.now();
const { inputs, kinds, outcomes, wrong, ...most } = hostileRound(
  Number(values.seed),
  Number(values.count),
  Number(values.first),
  (index) => Atomics.store(watched, 0, index),
);
await watch.terminate();
const report = {
  ...{ inputs, seconds: Math.round((performance.now() - startedAt) / 1000), wrong: wrong.length },
  ...{ slowestMs: Math.round(most.slowestMs), slowest: most.slowest },
  ...{ largestMiB: Math.round(most.largestBytes / 1024 / 1024), largest: most.largest },
  ...{ kinds: Object.fromEntries(kinds), outcomes: Object.fromEntries(outcomes) },
};
process.stdout.write(`${JSON.stringify(report, null, 2)}\n${wrong.slice(0, 20).join('\n')}\n`);
process.exitCode = wrong.length === 0 ? 0 : 1;
