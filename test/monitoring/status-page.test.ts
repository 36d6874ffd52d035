import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { complaintsOf, launchBrowser } from '../../testing/browser.ts';
import { Streaming } from '../pipeline/stream/support/streaming.ts';

const tables = 200;
/** Waits for the page allow for a slow machine. */
const patient = { timeout: 300_000 };
const hostile = '<img src=x onerror=alert(1)>';

let streaming: Streaming;
let browser: Browser;
let url: string;

beforeAll(async () => {
  [browser, streaming] = await Promise.all([
    launchBrowser(),
    Streaming.start(
      async (admin) => {
        for (let table = 0; table < tables; table++)
          await admin.query(
            `create table t${String(table).padStart(3, '0')} (id int not null primary key) engine=InnoDB`,
          );
        await admin.query(`create table \`${hostile}\` (id int not null primary key, note varchar(20)) engine=InnoDB`);
        await admin.query(`insert into \`${hostile}\` values (1, 'canary')`);
        await admin.query('create table born (id int not null primary key, day date) engine=InnoDB');
        await admin.query("set sql_mode = ''");
        await admin.query("insert into born values (1, '0000-00-00')");
      },
      undefined,
      { LISTEN: '127.0.0.1:0' },
    ),
  ]);
  url = String((await streaming.run.logged('status page'))['url']);
});

afterAll(async () => {
  await browser?.close();
  await streaming?.end();
});

async function newPage(options: Parameters<Browser['newPage']>[0]): Promise<Page> {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(patient.timeout);
  return page;
}

/** Opens the page on such a screen and passes it to `look`; the page must not report any error by the end. */
async function open(options: Parameters<Browser['newPage']>[0], look: (page: Page) => Promise<void>): Promise<void> {
  const page = await newPage(options);
  const complaints = complaintsOf(page, url);
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(url);
  await page.locator('#state', { hasText: 'streaming' }).waitFor();
  await expect.poll(async () => await page.textContent('#table-count'), patient).toBe(String(tables + 3));
  await look(page);
  expect(complaints).toEqual([]);
  await page.close();
}

const rowOf = (page: Page, table: string) => page.locator(`#rows tr[data-key="${table}"]`);

test('shows the current state, and updates itself', async () => {
  await open({ viewport: { width: 1280, height: 900 } }, async (page) => {
    const text = (where: string) => expect.poll(async () => await page.textContent(where), patient);
    await text('#seconds').toBe('0 s');
    await text('#conversions-list').toContain('born.day: 1 value (date-to-null)');
    await text('#events').toContain('snapshot-finished');
    await page.locator('#lag-chart .u-over').hover();
    await text('figure:first-child figcaption').toMatch(/^seconds behind · 0 at \d/);
    const changes = () =>
      expect.poll(async () => await rowOf(page, 't007').locator('td').nth(2).textContent(), patient);
    await changes().toBe('0');
    await streaming.source.query('insert into t007 values (1), (2), (3)');
    await changes().toBe('3');
    const title = `0 s · streaming · ${streaming.database} on 127.0.0.1 · Tidegate`;
    await expect.poll(async () => await page.title(), patient).toBe(title);
  });
});

test('table names are always shown as text, and no value of a row is on the page', async () => {
  await open({}, async (page) => {
    await page.fill('#filter', 'onerror');
    expect(await page.locator('#rows tr').count()).toBe(1);
    expect(await page.locator('#rows th').textContent()).toBe(hostile);
    expect(await page.locator('#rows img').count()).toBe(0);
    expect(await page.content()).not.toContain('canary');
  });
});

test('tables are found by name and state, and sorted by any column, and stay sorted after updates', async () => {
  await open({}, async (page) => {
    await page.fill('#filter', 't01');
    expect(await page.textContent('#table-count')).toBe(`10 of ${tables + 3}`);
    await page.click('#columns button:text("table")');
    expect(await page.locator('#rows th').first().textContent()).toBe('t019');
    await streaming.source.query('insert into t013 values (1)');
    await page.click('#columns button:text("changes")');
    await expect.poll(async () => await page.locator('#rows th').first().textContent(), patient).toBe('t013');
    expect(await page.getAttribute('#columns th:nth-child(4)', 'aria-sort')).toBe('descending');
  });
});

test('fits screens of 360, 768 and 1280 pixels', async () => {
  await open({ viewport: { width: 360, height: 800 } }, async (page) => {
    await page.fill('#filter', 'onerror');
    const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
    for (const width of [360, 768, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      expect([width, await page.evaluate(overflow)]).toEqual([width, 0]);
    }
  });
});

test('is dark if the browser prefers a dark scheme', async () => {
  const ground = async (page: Page) => await page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
  const seen: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const)
    await open({ colorScheme, viewport: { width: 1280, height: 900 } }, async (page) => {
      seen.push(await ground(page));
      // The scheme also changes while the page is open.
      await page.emulateMedia({ colorScheme: colorScheme === 'light' ? 'dark' : 'light' });
      seen.push(await ground(page));
    });
  expect(seen[0]).toBe(seen[3]);
  expect(seen[1]).toBe(seen[2]);
  expect(seen[0]).not.toBe(seen[1]);
});

test('shows what an operator must do, shows when the service does not answer, and resumes when it does', async () => {
  await streaming.source.query('alter table t001 add column more int');
  await streaming.source.query('insert into t001 values (1, 1)');
  await streaming.run.logged('table suspended');
  const page = await newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(url);
  await page.locator('#attention-list', { hasText: 'Table t001 is suspended' }).waitFor();
  expect(await page.textContent('#suspended')).toBe('1');
  expect(await page.isHidden('#silence')).toBe(true);
  const { host } = new URL(url);
  await streaming.run.stop();
  await page.locator('#silence', { hasText: 'No answer from Tidegate since' }).waitFor();
  expect(await page.textContent('#suspended')).toBe('1');
  const again = streaming.another([], { LISTEN: host });
  streaming.follow(again);
  await page.locator('#silence').waitFor({ state: 'hidden' });
  await page.locator('#state', { hasText: 'streaming' }).waitFor();
  await page.close();
});
