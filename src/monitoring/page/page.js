// The status page: asks this server for what it knows, every two seconds, and shows it. Every text goes in as text: the names of
// tables are somebody else's.

const everyMs = 2_000;
/** As many points as /history.json keeps. */
const pointsKept = 4_320;

const tones = {
  streaming: 'is-good',
  standby: 'is-good',
  snapshotting: 'is-busy',
  'catching-up': 'is-busy',
  backfilling: 'is-busy',
  checking: 'is-busy',
  paused: 'is-warn',
  retrying: 'is-warn',
  parked: 'is-bad',
  stalled: 'is-bad',
  stopped: 'is-bad',
};

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Writes only what changed, so that nothing flickers and what is selected stays so. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setTone(element, tone) {
  for (const each of ['is-good', 'is-busy', 'is-warn', 'is-bad']) element.classList.toggle(each, each === tone);
}

// --- Figures

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 2 });

function inBytes(bytes) {
  if (bytes === null) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let amount = bytes;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`;
}

function inTime(seconds) {
  if (seconds === null) return '–';
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

function plural(count, what) {
  return `${whole.format(count)} ${what}${count === 1 ? '' : 's'}`;
}

function timeOf(text) {
  return text === null
    ? 'never'
    : new Date(text).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' });
}

// --- Lists

/**
 * Makes a list the one of `things`, in their order: an element of before is used again for the thing of the same key.
 * @param {HTMLElement} list
 */
function fillList(list, things, keyOf, make, update) {
  const before = new Map([...list.children].map((child) => [/** @type {HTMLElement} */ (child).dataset.key, child]));
  let place = list.firstElementChild;
  for (const thing of things) {
    const key = keyOf(thing);
    let element = before.get(key);
    before.delete(key);
    if (element === undefined) {
      element = make(thing);
      element.dataset.key = key;
    }
    update(element, thing);
    if (element === place) place = place.nextElementSibling;
    else list.insertBefore(element, place);
  }
  for (const gone of before.values()) gone.remove();
}

function item() {
  return document.createElement('li');
}

// --- What stands at the top

function showHeadline({ lag, source, target, instance, version }) {
  const percent = lag.snapshot === null ? '' : ` ${lag.snapshot.percent} %`;
  setText(byId('state'), `${lag.state}${lag.state === 'snapshotting' ? percent : ''}`);
  setTone(byId('dot'), tones[lag.state] ?? '');
  setText(byId('reason'), lag.reason ?? '');
  byId('reason').hidden = lag.reason === null;
  setText(byId('source'), source);
  setText(byId('target'), `PostgreSQL schema ${target}`);
  setText(
    byId('about'),
    `Tidegate ${version} on ${instance.host}, process ${instance.pid}, ${instance.role} since ${timeOf(instance.startedAt)}` +
      `${lag.appliedPosition === null ? '' : ` · applied ${lag.appliedPosition}`}${lag.sourcePosition === null ? '' : ` of ${lag.sourcePosition}`}`,
  );
  document.title = `${lag.secondsBehind === null ? lag.state : `${inTime(lag.secondsBehind)} · ${lag.state}`} · Tidegate`;
}

function showTiles({ lag, rates }) {
  setText(byId('seconds'), lag.secondsBehind === null ? 'not known' : inTime(lag.secondsBehind));
  setTone(byId('seconds'), lag.secondsBehind === null || lag.secondsBehind > 60 ? 'is-warn' : '');
  setText(byId('transactions'), lag.transactionsBehind === null ? '–' : whole.format(lag.transactionsBehind));
  setText(byId('bytes'), inBytes(lag.bytesBehind));
  setText(byId('rate'), whole.format(Math.round(lag.rowsPerSecond ?? rates.rowsPerSecond)));
  setText(byId('catchup'), lag.bytesBehind === 0 ? 'now' : inTime(lag.secondsToCatchUp));
  const unlimited = lag.headroomSeconds === null && lag.retentionSeconds === 0;
  setText(byId('headroom'), unlimited ? 'for ever' : inTime(lag.headroomSeconds));
  const isTight = lag.headroomSeconds !== null && lag.headroomSeconds < 86_400;
  setTone(byId('headroom'), lag.headroomSeconds === 0 ? 'is-bad' : isTight ? 'is-warn' : '');
  const letters = lag.deadLetters.reduce((sum, { rows }) => sum + rows, 0);
  setText(byId('letters'), whole.format(letters));
  setTone(byId('letters'), letters > 0 ? 'is-warn' : '');
  setText(byId('parked'), whole.format(lag.parkedTables.length));
  setTone(byId('parked'), lag.parkedTables.length > 0 ? 'is-bad' : '');
}

function showSnapshot({ lag: { snapshot } }) {
  byId('snapshot').hidden = snapshot === null;
  if (snapshot === null) return;
  /** @type {HTMLProgressElement} */ (byId('snapshot-bar')).value = snapshot.percent;
  setText(
    byId('snapshot-text'),
    `${snapshot.percent} % · ${plural(snapshot.rows, 'row')} of about ${whole.format(snapshot.estimatedRows)} · ${snapshot.tablesDone} of ${plural(snapshot.tables, 'table')} done`,
  );
}

/** Whatever somebody has to look after, the worst first. */
function showAttention({ lag }) {
  const things = [
    ...lag.parkedTables.map(({ table, reason }) => ({
      isBad: true,
      text: `Table ${table} is parked: ${reason}. \`tidegate backfill ${table}\` takes it back.`,
    })),
    ...lag.verifications
      .filter(({ isEqual }) => !isEqual)
      .map(({ table, at, missing, extra, different, rejected }) => ({
        isBad: true,
        text: `Table ${table} was not equal at ${timeOf(at)}: ${missing} missing, ${extra} extra, ${different} different, ${rejected} cannot be carried. \`tidegate verify --repair ${table}\` mends it.`,
      })),
    ...lag.deadLetters.map(({ table, column, reason, sqlState, rows }) => ({
      isBad: false,
      text: `${plural(rows, 'row')} of ${table} cannot be carried${column === null ? '' : `, column ${column}`}: ${reason}${sqlState === null ? '' : ` (SQLSTATE ${sqlState})`}. \`tidegate dead-letters list ${table}\` tells which.`,
    })),
    ...lag.problems.map((problem) => ({ isBad: false, text: problem })),
  ];
  byId('attention').hidden = things.length === 0;
  fillList(
    byId('attention-list'),
    things,
    ({ text }) => text,
    item,
    (element, { isBad, text }) => {
      element.classList.toggle('is-bad', isBad);
      setText(element, text);
    },
  );
}

function showJobs({ lag: { jobs } }) {
  byId('jobs').hidden = jobs.length === 0;
  fillList(
    byId('jobs-list'),
    jobs,
    ({ id }) => id,
    () => {
      const element = item();
      const bar = document.createElement('progress');
      element.append(document.createElement('span'), bar);
      return element;
    },
    (element, { kind, table, state, rows, estimatedRows }) => {
      const [label, bar] = element.children;
      setText(label, `${kind} ${table}: ${state}, ${whole.format(rows)} of about ${plural(estimatedRows, 'row')}`);
      bar.max = Math.max(1, estimatedRows, rows);
      bar.value = rows;
      bar.setAttribute('aria-label', `${kind} ${table}`);
    },
  );
}

function showConversions({ lag: { conversions } }) {
  byId('conversions').hidden = conversions.length === 0;
  fillList(
    byId('conversions-list'),
    conversions,
    ({ table, column, kind }) => `${table} ${column} ${kind}`,
    item,
    (element, { table, column, kind, count }) =>
      setText(element, `${table}.${column}: ${plural(count, 'value')} (${kind})`),
  );
}

function showEvents({ events }) {
  fillList(
    byId('events'),
    events.slice(0, 20),
    ({ id }) => id,
    ({ at, kind, detail }) => {
      const element = item();
      const time = document.createElement('time');
      time.dateTime = at;
      time.textContent = timeOf(at);
      element.append(time, ` ${kind}${detail === '' ? '' : ` · ${detail}`}`);
      return element;
    },
    () => undefined,
  );
}

// --- Tables

const columns = [
  { name: 'table', label: 'table', of: (row) => row.table },
  { name: 'state', label: 'state', of: (row) => row.state },
  { name: 'rows', label: 'rows copied', of: (row) => row.rows, text: (row) => copied(row) },
  { name: 'applied', label: 'changes since start', of: (row) => row.applied },
  { name: 'deadLetters', label: 'dead letters', of: (row) => row.deadLetters },
  { name: 'verifiedAt', label: 'verified', of: (row) => row.verifiedAt ?? '', text: (row) => timeOf(row.verifiedAt) },
];
const sorting = { column: columns[0], isDescending: false };
let tableRows = [];

function copied({ rows, estimatedRows, state }) {
  if (state !== 'snapshotting' || estimatedRows === null || estimatedRows === 0) return whole.format(rows);
  return `${whole.format(rows)} (${Math.min(99, Math.floor((100 * rows) / estimatedRows))} %)`;
}

function compareRows(a, b) {
  const [x, y] = [sorting.column.of(a), sorting.column.of(b)];
  const order = typeof x === 'number' ? x - y : x.localeCompare(y);
  return (sorting.isDescending ? -order : order) || a.table.localeCompare(b.table);
}

function showTables({ tables, lag }) {
  const verifiedAt = new Map(lag.verifications.map(({ table, at }) => [table, at]));
  tableRows = tables.map((row) => ({ ...row, verifiedAt: verifiedAt.get(row.table) ?? null }));
  drawTables();
}

function drawTables() {
  const wanted = /** @type {HTMLInputElement} */ (byId('filter')).value.trim().toLowerCase();
  const shown = tableRows
    .filter(({ table, state }) => table.toLowerCase().includes(wanted) || state.includes(wanted))
    .toSorted(compareRows);
  setText(
    byId('table-count'),
    shown.length === tableRows.length ? `${shown.length}` : `${shown.length} of ${tableRows.length}`,
  );
  fillList(
    byId('rows'),
    shown,
    ({ table }) => table,
    () => {
      const element = document.createElement('tr');
      for (const { name, label } of columns) {
        const cell = document.createElement(name === 'table' ? 'th' : 'td');
        if (name === 'table') cell.scope = 'row';
        else cell.dataset.label = label;
        element.append(cell);
      }
      return element;
    },
    (element, row) => {
      for (const [index, { name, of, text }] of columns.entries()) {
        const cell = element.children[index];
        const value = of(row);
        setText(cell, text === undefined ? (typeof value === 'number' ? whole.format(value) : value) : text(row));
        if (name === 'table') cell.title = row.table;
        if (name === 'state') {
          setTone(cell, tones[row.state] ?? '');
          cell.title = row.reason ?? '';
        }
        if (name === 'deadLetters') setTone(cell, row.deadLetters > 0 ? 'is-warn' : '');
      }
    },
  );
}

function drawColumns() {
  fillList(
    byId('columns'),
    columns,
    ({ name }) => name,
    (column) => {
      const cell = document.createElement('th');
      cell.scope = 'col';
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = column.label;
      button.addEventListener('click', () => {
        sorting.isDescending = sorting.column === column ? !sorting.isDescending : column.name !== 'table';
        sorting.column = column;
        drawColumns();
        drawTables();
      });
      cell.append(button);
      return cell;
    },
    (cell, column) => {
      const direction = sorting.isDescending ? 'descending' : 'ascending';
      cell.setAttribute('aria-sort', sorting.column === column ? direction : 'none');
    },
  );
}

// --- Charts

/** Number, time in milliseconds, seconds behind, rows a second, bytes behind. */
let points = [];
let startedAt = '';
let minutes = 15;
const charts = [
  { id: 'lag-chart', field: 2, label: 'seconds behind', plot: null },
  { id: 'rate-chart', field: 3, label: 'row changes a second', plot: null },
];

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function optionsOf({ label }, box) {
  const axis = { stroke: style('--soft'), grid: { stroke: style('--line'), width: 1 }, ticks: { show: false } };
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    legend: { show: false },
    cursor: { y: false },
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
    axes: [axis, { ...axis, size: 48, values: (_plot, values) => values.map((value) => short.format(value)) }],
    series: [
      {},
      {
        label,
        stroke: style('--accent'),
        fill: `${style('--accent')}22`,
        width: 1.5,
        points: { show: false },
        spanGaps: false,
      },
    ],
  };
}

/** Colours and sizes are the plot's own from its beginning. */
function makeCharts() {
  for (const chart of charts) {
    const box = byId(chart.id);
    chart.plot?.destroy();
    chart.plot = new globalThis.uPlot(optionsOf(chart, box), [[], []], box);
  }
  drawCharts();
}

function drawCharts() {
  const now = Date.now();
  const shown = points.filter(([, at]) => at > now - minutes * 60_000);
  const times = shown.map(([, at]) => at / 1_000);
  for (const { plot, field } of charts) {
    plot?.setData([times, shown.map((point) => point[field])], false);
    plot?.setScale('x', { min: now / 1_000 - minutes * 60, max: now / 1_000 });
  }
}

function resizeCharts() {
  for (const { plot, id } of charts) plot?.setSize({ width: byId(id).clientWidth, height: byId(id).clientHeight });
}

// --- Asking

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return await answer.json();
}

async function showHistory({ instance }) {
  // Another process counts from 1 again.
  if (instance.startedAt !== startedAt) points = [];
  startedAt = instance.startedAt;
  const { points: news } = await ask(`history.json?after=${points.at(-1)?.[0] ?? 0}`);
  points = [...points, ...news].slice(-pointsKept);
  drawCharts();
}

let answeredAt = new Date();

async function show() {
  try {
    const status = await ask('status.json');
    for (const part of [
      showHeadline,
      showTiles,
      showSnapshot,
      showAttention,
      showJobs,
      showTables,
      showConversions,
      showEvents,
    ])
      part(status);
    await showHistory(status);
    answeredAt = new Date();
    byId('silence').hidden = true;
  } catch {
    byId('silence').hidden = false;
    setText(
      byId('silence'),
      `No answer from Tidegate since ${answeredAt.toLocaleTimeString()}. What stands below was known then; this page goes on asking.`,
    );
    setTone(byId('dot'), '');
  }
}

byId('filter').addEventListener('input', drawTables);
for (const button of document.querySelectorAll('[data-minutes]'))
  button.addEventListener('click', () => {
    minutes = Number(button.dataset.minutes);
    for (const each of document.querySelectorAll('[data-minutes]'))
      each.setAttribute('aria-pressed', String(each === button));
    drawCharts();
  });
addEventListener('resize', resizeCharts);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', makeCharts);

drawColumns();
makeCharts();
for (;;) {
  await show();
  await new Promise((resolve) => setTimeout(resolve, everyMs));
}
