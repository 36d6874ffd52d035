import { launchBrowser } from '../testing/browser.ts';
import { createReplica } from '../testing/replica.ts';
import type { BenchContext } from './context.ts';
import { MeasuredRun } from './measured-run.ts';
import type { BenchResult } from './report.ts';
import { quantile } from './statistics.ts';

const tables = 500;
const barPaintMs = 1_000;
/** A longer task keeps a page from following the mouse (https://web.dev/articles/long-tasks-devtools). */
const longTaskMs = 50;

/** Measures how soon the status page shows something, and how smoothly it follows while 500 tables change. */
export async function page({ source, target, quick, say }: BenchContext): Promise<BenchResult> {
  const loads = quick ? 5 : 20;
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  const browser = await launchBrowser();
  const names = Array.from({ length: tables }, (_, table) => `t${String(table).padStart(3, '0')}`);
  for (const name of names) await admin.query(`create table ${name} (id int not null primary key) engine=InnoDB`);
  const run = new MeasuredRun({ ...replica.env, LISTEN: '127.0.0.1:0' });
  try {
    await run.logged('streaming');
    const url = String((await run.logged('status page'))['url']);
    say(`page: ${loads} loads with ${tables} tables, then 20 s of changes`);
    const paints: number[] = [];
    const filled: number[] = [];
    for (let load = 0; load < loads; load++) {
      const context = await browser.newContext();
      const seen = await context.newPage();
      const startedAt = performance.now();
      await seen.goto(url);
      await seen
        .locator('#rows tr')
        .nth(tables - 1)
        .waitFor({ state: 'attached' });
      filled.push(performance.now() - startedAt);
      paints.push(await seen.evaluate<number>(`performance.getEntriesByName('first-contentful-paint')[0].startTime`));
      await context.close();
    }
    const seen = await browser.newPage();
    let complaints = 0;
    seen.on('console', (message) => (complaints += message.type() === 'error' ? 1 : 0));
    seen.on('pageerror', () => complaints++);
    await seen.addInitScript(
      'globalThis.longTasks = []; new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask", buffered: true })',
    );
    await seen.goto(url);
    await seen.waitForTimeout(3_000);
    await seen.evaluate('longTasks.length = 0');
    for (let second = 0; second < 20; second++) {
      for (const name of names) await admin.query(`insert into ${name} values (?)`, [second]);
      await seen.waitForTimeout(500);
    }
    const longTasks = await seen.evaluate<number[]>('longTasks');
    await run.stop();
    const slowest = quantile(paints, 1);
    return {
      lines: [
        {
          bench: 'page',
          what: 'first paint, slowest load',
          value: `${slowest.toFixed(0)} ms`,
          bar: `< ${barPaintMs} ms`,
          met: slowest < barPaintMs,
        },
        {
          bench: 'page',
          what: `all ${tables} tables there, slowest load`,
          value: `${quantile(filled, 1).toFixed(0)} ms`,
        },
        {
          bench: 'page',
          what: `tasks over ${longTaskMs} ms while every table changes`,
          value: `${longTasks.length}, longest ${Math.max(0, ...longTasks).toFixed(0)} ms`,
        },
        { bench: 'page', what: 'errors in the console', value: String(complaints), bar: '0', met: complaints === 0 },
      ],
      figures: { paints, filled, longTasks },
    };
  } finally {
    await run.kill();
    await browser.close();
    admin.destroy();
    await replica.drop();
  }
}
