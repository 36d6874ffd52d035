import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { HeadHistory } from '../../src/monitoring/head-history.ts';
import { describeLag } from '../../src/monitoring/lag-report.ts';
import { Metrics } from '../../src/monitoring/metrics.ts';
import { promtool } from '../../testing/promtool.ts';

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

interface Dashboard {
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: unknown }[];
  };
}

const read = async (path: string) => await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

const rules = parse(await read('ops/prometheus/alerts.yml')) as { groups: { rules: Alert[] }[] };
const alerts = rules.groups.flatMap((group) => group.rules);
const dashboardText = await read('ops/grafana/dashboard.json');
const dashboard = JSON.parse(dashboardText) as Dashboard;
const page = await read('docs/monitoring.md');
const operations = await read('docs/operations.md');

const metrics = new Metrics('1.2.3');
const registered = new Set(metrics.names());
// A measurement to which neither database answered.
metrics.observe({
  lag: describeLag({
    ...{ source: null, files: null, status: null, findings: null, presence: null },
    ...{ history: new HeadHistory(), problems: [] },
  }),
  tables: null,
  holdsLease: false,
  isReachable: { source: false, target: false },
});
const exposition = await metrics.text();

/** The names of metrics in an expression; a series of a histogram counts under the name of the histogram. */
function metricsIn(expression: string): string[] {
  const withoutStrings = expression.replaceAll(/"[^"]*"/g, '');
  return [...withoutStrings.matchAll(/\btidegate_\w+/g)].map(([name]) => {
    const histogram = name.replace(/_(?:bucket|sum|count)$/, '');
    return registered.has(name) ? name : histogram;
  });
}

/** The values of the label `state` of tidegate_state that an expression selects. */
function statesIn(expression: string): string[] {
  return [...expression.matchAll(/tidegate_state\{[^}]*\bstate=~?"([^"]+)"/g)].flatMap(([, value]) =>
    (value ?? '').split('|'),
  );
}

/** The first and second cells of the rows of tables with this heading of the first column. */
function cells(heading: string): Map<string, string> {
  const lines = page.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${heading} `));
  const rows = lines.slice(start + 2);
  return new Map(
    rows
      .slice(
        0,
        rows.findIndex((line) => !line.startsWith('|')),
      )
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .map(([, first, second]) => [(first ?? '').replaceAll('`', ''), second ?? '']),
  );
}

const isOwn = (name: string) => !/^tidegate_(?:process|nodejs)_/.test(name);

describe('ops/prometheus/alerts.yml', () => {
  test.each(alerts)('$alert uses metrics and states that exist', ({ expr }) => {
    expect(metricsIn(expr).filter((name) => !registered.has(name))).toEqual([]);
    expect(statesIn(expr).filter((state) => !exposition.includes(`tidegate_state{state="${state}"}`))).toEqual([]);
  });

  test.each(alerts)('$alert has a severity, a summary, and an instruction', ({ labels, annotations }) => {
    expect(labels?.['severity']).toMatch(/^(?:warning|critical)$/);
    expect(annotations?.['summary']).toMatch(/Tidegate/);
    const [, sections = ''] = /docs\/operations\.md, (".+")\.$/.exec(annotations?.['description'] ?? '') ?? [];
    const named = [...sections.matchAll(/"([^"]+)"/g)].map(([, section]) => section);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((section) => !operations.includes(`\n## ${section}\n`))).toEqual([]);
  });

  test.each([
    'tidegate_leader',
    'tidegate_reachable',
    'tidegate_lag_seconds',
    'tidegate_headroom_seconds',
    'tidegate_table_suspended',
    'tidegate_dead_letters',
    'tidegate_verification_equal',
    'tidegate_verification_timestamp_seconds',
    'tidegate_stalls_total',
    'tidegate_retries_total',
    'tidegate_jobs_failed_total',
  ])('there is an alert for %s', (name) => {
    expect(alerts.filter(({ expr }) => metricsIn(expr).includes(name))).not.toEqual([]);
  });

  test.each(['stalled', 'paused'])('there is an alert for state %s', (state) => {
    expect(alerts.filter(({ expr }) => statesIn(expr).includes(state))).not.toEqual([]);
  });

  test('an alert that exists twice has two severities', () => {
    const kinds = alerts.map(({ alert, labels }) => `${alert} ${labels?.['severity']}`);
    expect(new Set(kinds).size).toBe(kinds.length);
  });
});

describe("Prometheus' own tool", () => {
  test('finds no error in the rules and in the example of a job', async () => {
    expect(await promtool(['check', 'rules', 'ops/prometheus/alerts.yml'])).toContain(`${alerts.length} rules found`);
    expect(await promtool(['check', 'config', '--syntax-only', 'ops/prometheus/scrape.yml'])).toContain('SUCCESS');
  });

  test('sees exactly the expected alerts fire in ops/prometheus/alerts.test.yml', async () => {
    expect(await promtool(['test', 'rules', 'ops/prometheus/alerts.test.yml'])).toContain('SUCCESS');
    const tried = new Set(
      [...(await read('ops/prometheus/alerts.test.yml')).matchAll(/alertname(?:: |=")(\w+)/g)].map(([, name]) => name),
    );
    expect(alerts.filter(({ alert }) => !tried.has(alert))).toEqual([]);
  });

  test('reads our metrics, and does not complain about their names', async () => {
    const own = exposition.split('\n').filter((line) => !/tidegate_(?:process|nodejs)_/.test(line));
    expect(await promtool(['check', 'metrics'], `${own.join('\n').trim()}\n`)).toBe('');
  });
});

describe('ops/grafana/dashboard.json', () => {
  const expressions = dashboard.panels.flatMap(({ title, targets }) =>
    (targets ?? []).map(({ expr }): [string, string] => [title, expr]),
  );

  test.each(expressions)('%s: %s', (_, expr) => {
    const used = metricsIn(expr);
    expect(used.length).toBeGreaterThan(0);
    expect(used.filter((name) => !registered.has(name))).toEqual([]);
  });

  test('shows every metric of our own', () => {
    const shown = new Set(expressions.flatMap(([, expr]) => metricsIn(expr)));
    expect([...registered].filter((name) => isOwn(name) && !shown.has(name))).toEqual([]);
  });

  test('its variables query metrics that exist', () => {
    const queries = dashboard.templating.list.filter(({ type }) => type === 'query');
    expect(queries.map(({ name }) => name)).toEqual(['replica', 'instance']);
    expect(
      queries.flatMap(({ query }) => metricsIn(JSON.stringify(query))).filter((name) => !registered.has(name)),
    ).toEqual([]);
  });

  test('leaves the choice of the data source open', () => {
    expect(dashboard.templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' });
    // The dashboard's own uid is the only other one.
    const uids = [...dashboardText.matchAll(/"uid": "([^"]*)"/g)].map(([, uid]) => uid);
    expect(new Set(uids)).toEqual(new Set(['tidegate', `\${datasource}`]));
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39);
  });

  test('no two panels have the same id or overlap, and none is wider than the page', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const overlap = panels.flatMap(({ title, gridPos: a }, index) =>
      panels
        .slice(index + 1)
        .filter(({ gridPos: b }) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h)
        .map((other) => `${title} and ${other.title}`),
    );
    expect(overlap).toEqual([]);
    expect(panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
  });

  test('has its rows', () => {
    expect(dashboard.panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual([
      'State',
      'Lag and headroom',
      'Throughput',
      'Batches',
      'Source protection',
      'Problems',
      'Verification',
      'Process',
    ]);
  });
});

test('docs/operations.md says for every state what to do at 7 in the morning', () => {
  const [, section = ''] = operations.split('## At 7 in the morning');
  const states = [...exposition.matchAll(/tidegate_state\{state="([^"]+)"\}/g)].map(([, state = '']) => state);
  expect(states.length).toBeGreaterThan(0);
  const table = section.slice(0, section.indexOf('\n## '));
  expect(states.filter((state) => !new RegExp(`^\\| \`${state}\``, 'm').test(table))).toEqual([]);
});

describe('docs/monitoring.md', () => {
  test('has exactly our own metrics, with their types', () => {
    const types = new Map(
      [...exposition.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]),
    );
    expect(new Set(types.keys())).toEqual(registered);
    expect(cells('metric')).toEqual(new Map([...types].filter(([name]) => isOwn(name))));
  });

  test('says correctly that unknown values are absent', () => {
    expect(page).toContain('A gauge of something that is not known is absent, not 0 and not its last value.');
    const unknown = ['lag_seconds', 'lag_bytes', 'lag_transactions', 'catch_up_seconds'];
    unknown.push('headroom_seconds', 'retention_seconds', 'clock_skew_seconds');
    expect(unknown.filter((name) => new RegExp(`^tidegate_${name} `, 'm').test(exposition))).toEqual([]);
  });

  test('names only metrics that exist', () => {
    const named = [...page.matchAll(/`(tidegate_\w+)/g)].map(([, name = '']) => name);
    expect(named.filter((name) => !registered.has(name))).toEqual([]);
  });

  test('has exactly our alerts, with their severities', () => {
    const severities = new Map<string, string>();
    for (const { alert, labels } of alerts)
      severities.set(alert, [severities.get(alert) ?? [], labels?.['severity']].flat().join(', '));
    expect(cells('alert')).toEqual(severities);
  });
});
