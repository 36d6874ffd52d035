/**
 * Takes the pictures of docs/images: a clinic at work for a few minutes, with an outage in between, in a real browser. Run it by
 * hand after the page has changed: `npm run screenshots`.
 */
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createReplica } from '../testing/replica.ts';
import { launchBrowser } from '../testing/browser.ts';
import { fillClinic } from './clinic/fill.ts';
import { runTraffic } from './clinic/traffic.ts';
import { RunProcess } from '../testing/run-process.ts';
import { startSource } from '../testing/servers/source.ts';
import { startTarget } from '../testing/servers/target.ts';

const seed = 1;
const folder = new URL('../docs/images/', import.meta.url);

const [source, target, browser] = await Promise.all([startSource(), startTarget(), launchBrowser()]);
const replica = await createReplica(source, target);
const clinic = await replica.sourceAdmin();
const evening = new AbortController();
const env = { ...replica.env, LISTEN: '127.0.0.1:0' };
try {
  await clinic.query('set global expire_logs_days = 7');
  await fillClinic(clinic, seed, 1);
  const traffic = runTraffic(clinic, { seed, perSecond: 60, signal: evening.signal, onDeed: () => undefined });
  const run = new RunProcess(env);
  try {
    await run.logged('streaming');
    const url = String((await run.logged('status page'))['url']);
    await sleep(90_000);
    // A lock stops PostgreSQL's writes for a while.
    await replica.targetAdmin.query(`begin; lock table ${replica.schema}.appointment`);
    await sleep(40_000);
    await replica.targetAdmin.query('rollback');
    await sleep(60_000);
    await mkdir(folder, { recursive: true });
    for (const [name, options] of Object.entries({
      'status-light': { viewport: { width: 1180, height: 1000 }, colorScheme: 'light' },
      'status-dark': { viewport: { width: 1180, height: 1000 }, colorScheme: 'dark' },
      'status-phone': { viewport: { width: 360, height: 780 }, colorScheme: 'light', deviceScaleFactor: 2 },
    } as const)) {
      const page = await browser.newPage(options);
      await page.goto(url);
      await page.locator('#state', { hasText: 'streaming' }).waitFor();
      await sleep(3_000);
      await page.screenshot({ path: new URL(`${name}.png`, folder).pathname });
      await page.close();
    }
  } finally {
    await run.kill();
    evening.abort();
    await traffic.catch(() => undefined);
  }
} finally {
  clinic.destroy();
  await replica.drop();
  await Promise.all([browser.close(), source.stop(), target.stop()]);
}
