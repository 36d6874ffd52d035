import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Loaded into the service. At SIGUSR2 it collects garbage and writes what the process holds, as a line of the log. */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: object) => void;
/** An ordinary collection keeps empty pages for what comes next, 100 MB of them. This one returns them to the system. */
const everything = { type: 'major', execution: 'sync', flavor: 'last-resort' };

process.on('SIGUSR2', () => {
  // What a first collection finalizes, a second one frees.
  collect(everything);
  setImmediate(() => {
    collect(everything);
    const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
    const resources: Record<string, number> = {};
    for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
    const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
    process.stdout.write(
      `${JSON.stringify({ msg: 'probe', time: Date.now(), rss, heapUsed, external, arrayBuffers, resources, listeners })}\n`,
    );
  });
});
