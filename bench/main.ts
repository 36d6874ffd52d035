import { parseArgs } from 'node:util';
import { startSource } from '../testing/servers/source.ts';
import { startTarget } from '../testing/servers/target.ts';
import { backlog } from './backlog.ts';
import { catchUp } from './catch-up.ts';
import { compile } from './compile.ts';
import { type BenchContext, durableSource, durableTarget } from './context.ts';
import { hugeTransaction } from './huge-transaction.ts';
import { deadLetters } from './dead-letters.ts';
import { impact } from './impact.ts';
import { lagAnswer } from './lag-answer.ts';
import { lagTruth } from './lag-truth.ts';
import { latency } from './latency.ts';
import { page } from './page.ts';
import { type BenchResult, describeMachine, formatLines, writeReport } from './report.ts';
import { smallMemory } from './small-memory.ts';
import { snapshot } from './snapshot.ts';
import { validation } from './validation.ts';
import { verify } from './verify.ts';

const benches: Readonly<Record<string, (context: BenchContext) => Promise<BenchResult>>> = {
  snapshot,
  'catch-up': catchUp,
  backlog,
  latency,
  lag: lagTruth,
  'lag-answer': lagAnswer,
  page,
  'huge-transaction': hugeTransaction,
  'small-memory': smallMemory,
  'dead-letters': deadLetters,
  validation,
  impact,
  verify,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !Object.hasOwn(benches, name));
if (values.help || unknown.length > 0) {
  process.stderr.write(`usage: npm run bench -- [${Object.keys(benches).join(' | ')}]… [--quick]\n`);
  process.exit(values.help ? 0 : 1);
}
process.exitCode = await main(positionals.length === 0 ? Object.keys(benches) : positionals, values.quick);

/** Runs the named benches in turn; returns 1 if one of them could not run. A missed bar is a result, not a failure. */
async function main(names: readonly string[], quick: boolean): Promise<number> {
  compile();
  const source = await startSource({ args: [...durableSource] });
  try {
    const target = await startTarget({ args: [...durableTarget] });
    try {
      const results: Record<string, BenchResult> = {};
      let failed = 0;
      for (const name of names) {
        try {
          const bench = benches[name];
          if (bench !== undefined) results[name] = await bench({ source, target, quick, say });
        } catch (error) {
          failed += 1;
          say(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        }
      }
      const machine = describeMachine(source, target);
      const file = await writeReport(new URL('results', import.meta.url).pathname, machine, results);
      process.stdout.write(`${formatLines(Object.values(results).flatMap((result) => result.lines))}\n\n`);
      process.stdout.write(
        `${machine.cores} x ${machine.processor}, ${machine.memoryGiB} GiB, node ${machine.node}, ${machine.source}, ${machine.target}${quick ? ', quick' : ''}\n${file}\n`,
      );
      return failed === 0 ? 0 : 1;
    } finally {
      await target.stop();
    }
  } finally {
    await source.stop();
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
