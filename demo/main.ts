import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createReplica, type Replica } from '../testing/replica.ts';
import { fillClinic } from './clinic/fill.ts';
import { runTraffic } from './clinic/traffic.ts';
import { compareDatabases } from '../testing/compare/compare.ts';
import { reportComparison } from './report.ts';
import { bad, count, faint, good, heading, line } from './screen.ts';
import { showCheck, showSnapshot, showStream, type Stage, stopRun, waitUntilEqual } from './steps.ts';
import { RunProcess } from '../testing/run-process.ts';
import { privateFolder, watch } from '../testing/servers/private-process.ts';
import { startSource } from '../testing/servers/source.ts';
import { startTarget } from '../testing/servers/target.ts';
import type { TargetServer } from '../testing/servers/server.ts';

const usage = `npm run demo -- [--seconds N] [--rate N] [--scale N] [--seed N]
  --seconds  stream for this long, then compare every row and end; without it the demo runs until Ctrl-C
  --rate     work of the clinic, in deeds a second (default 40)
  --scale    size of the clinic; 1 has about 58,000 rows (default 1)
  --seed     another clinic, another day (default 1)
`;

interface DemoOptions {
  /** Undefined means until Ctrl-C. */
  readonly seconds: number | undefined;
  readonly rate: number;
  readonly scale: number;
  readonly seed: number;
}

/** Signals within this time are one key press, even if several parent processes forward it. */
const samePressMs = 700;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (options === undefined) {
    process.stderr.write(usage);
    return 1;
  }
  const stop = stopOnSignal();
  /** Cleanup steps, always run in reverse order. */
  const undo: (() => Promise<unknown>)[] = [];
  try {
    return (await demo(options, stop, undo)) ? 0 : 1;
  } catch (error) {
    line(bad(error instanceof Error ? error.message : String(error)));
    return 1;
  } finally {
    for (const step of undo.toReversed()) await step();
    line(faint('stopped; nothing is left behind'));
  }
}

function readOptions(): DemoOptions | undefined {
  const option = { type: 'string' } as const;
  try {
    const { values } = parseArgs({ options: { seconds: option, rate: option, scale: option, seed: option } });
    const { seconds, rate = '40', scale = '1', seed = '1' } = values;
    const numbers = [Number(seconds ?? 1), Number(rate), Number(scale)];
    if (numbers.some((value) => !(value > 0)) || !Number.isInteger(Number(seed))) return undefined;
    return {
      seconds: seconds === undefined ? undefined : Number(seconds),
      rate: Number(rate),
      scale: Number(scale),
      seed: Number(seed),
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return undefined;
  }
}

/** Aborts on the first Ctrl-C. The second ends this process at once, and the watchers end the servers. */
function stopOnSignal(): AbortSignal {
  const stop = new AbortController();
  let first = 0;
  const onSignal = (): void => {
    if (!stop.signal.aborted) {
      first = performance.now();
      stop.abort();
    } else if (performance.now() - first > samePressMs) {
      process.exit(130);
    }
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return stop.signal;
}

/** True if the user stopped it or every row was equal. */
async function demo(options: DemoOptions, stop: AbortSignal, undo: (() => Promise<unknown>)[]): Promise<boolean> {
  heading('Two temporary servers, on loopback only');
  const source = await startSource();
  undo.push(async () => await source.stop());
  line(`source  ${source.flavor} ${source.version} at ${source.host}:${source.port}`);
  if (stop.aborted) return true;
  const target = await startTarget();
  undo.push(async () => await target.stop());
  line(`target  postgresql ${target.version} at ${target.host}:${target.port}`);
  if (stop.aborted) return true;

  heading('A dental clinic, and the accounts that Tidegate needs');
  const replica = await createReplica(source, target);
  undo.push(async () => await replica.drop());
  const clinic = await replica.sourceAdmin();
  undo.push(async () => await Promise.resolve(clinic.destroy()));
  const rows = await fillClinic(clinic, options.seed, options.scale);
  line(`${count(rows)} rows, most tables MyISAM; one account can read, one can follow the binlog`);

  const day = new AbortController();
  undo.push(async () => {
    day.abort();
    // Its errors were already printed.
    await Promise.allSettled([traffic]);
  });
  const env = { ...replica.env, LOG_LEVEL: 'info', TABLES_INCLUDE: '', TABLES_EXCLUDE: '', LISTEN: '127.0.0.1:0' };
  const stage: Stage = { env, schema: replica.schema, target: replica.targetAdmin, signal: stop };
  let deeds = 0;
  const traffic = runTraffic(clinic, {
    seed: options.seed,
    perSecond: options.rate,
    signal: AbortSignal.any([day.signal, stop]),
    onDeed: () => deeds++,
  });
  // The error is thrown where the day's end is awaited, not here.
  traffic.catch(() => undefined);
  line(`the clinic opens: ${options.rate} deeds a second`);
  if (stop.aborted) return true;

  heading('tidegate check');
  await showCheck(stage);
  if (stop.aborted) return true;

  heading('tidegate run: snapshot');
  const folder = await privateFolder();
  const run = new RunProcess(env, [], { ownSession: true });
  const watcher = watch(run.pid, folder);
  undo.push(async () => {
    await run.kill();
    watcher.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  try {
    await showSnapshot(stage, run, rows);
    if (!stop.aborted) {
      heading('tidegate run: stream');
      line(`look at it: ${String((await run.logged('status page'))['url'])}`);
      line(`            ${await psqlLine(folder, target, replica)}`);
      line(faint(options.seconds === undefined ? 'Ctrl-C stops' : `${options.seconds} s, then every row is compared`));
      const shown = [stop, ...(options.seconds === undefined ? [] : [AbortSignal.timeout(options.seconds * 1000)])];
      await Promise.race([
        showStream({ ...stage, signal: AbortSignal.any(shown) }, run, () => deeds),
        // This ends before the stream display only by an error.
        traffic.then(async () => await new Promise<never>(() => undefined)),
      ]);
    }
    day.abort();
    heading('The clinic closes');
    line(`${count(await traffic)} deeds done`);
    if (!stop.aborted) await waitUntilEqual(stage, run);
    await stopRun(run);
    line('tidegate finished its batch and stopped');
    if (stop.aborted) return true;
  } catch (error) {
    line(bad(`the log of run is in ${await keepLog(run)}`));
    throw error;
  }

  heading('Every row of every table, compared by value');
  const started = performance.now();
  const { host, port, user, password } = source;
  const equal = reportComparison(
    await compareDatabases({
      source: { host, port, user, password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    }),
  );
  line(faint(`compared in ${((performance.now() - started) / 1000).toFixed(1)} s`));
  if (equal) line(good('the target is an exact copy'));
  return equal;
}

/** The command that opens the copy as its owner. The temporary password is in a file that is deleted with the demo. */
async function psqlLine(folder: string, target: TargetServer, replica: Replica): Promise<string> {
  const user = replica.env['TARGET_DB_USER'] ?? '';
  const file = join(folder, 'pgpass');
  await writeFile(file, `${target.host}:${target.port}:${replica.targetDatabase}:${user}:${replica.targetPassword}\n`);
  await chmod(file, 0o600);
  const psql = target.psqlCommand?.join(' ') ?? 'psql';
  return `PGPASSFILE=${file} PGOPTIONS=--search_path=${replica.schema} ${psql} -h ${target.host} -p ${target.port} -U ${user} ${replica.targetDatabase}`;
}

/** Writes the log of `run` to a file and returns its path. */
async function keepLog(run: RunProcess): Promise<string> {
  const folder = fileURLToPath(new URL('../.cache/demo', import.meta.url));
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'run.log');
  await writeFile(file, `${run.tail(10_000)}\n`);
  return file;
}
