// The status page. It loads the status from this server every two seconds and shows it.

import { makeCharts, resizeCharts, showHistory, showMinutes } from './charts.js';
import { byId, fillList, setText, setTextWithCode, setTone } from './elements.js';
import { inBytes, inTime, plural, timeOf, whole } from './format.js';
import { drawColumns, drawTables, showTables } from './tables.js';

const everyMs = 2_000;

const roles = { leader: 'lease holder', standby: 'standby' };

function item() {
  return document.createElement('li');
}

// --- Header and footer

/** Names the replica in the title. */
let route = 'Tidegate';

function showHeadline({ headline, lag, source, target, from, to, instance, version }) {
  const state = [headline.state, ...headline.notes].join(', ');
  setText(byId('state'), state);
  setTone(byId('dot'), `is-${headline.tone}`);
  const why = [lag.reason, lag.remedy].filter((text) => text !== null).join(': ');
  setTextWithCode(byId('reason'), why);
  byId('reason').hidden = why === '';
  setText(byId('source'), `${source} on ${from.host}:${from.port}`);
  setText(byId('target'), `PostgreSQL ${to.database}.${target} on ${to.host}:${to.port}`);
  setText(
    byId('about'),
    `Tidegate ${version} on ${instance.host}, process ${instance.pid}, ${roles[instance.role]}, started ${timeOf(instance.startedAt)}` +
      `${lag.appliedPosition === null ? '' : ` · applied ${lag.appliedPosition}`}${lag.sourcePosition === null ? '' : ` of ${lag.sourcePosition}`}`,
  );
  route = `${source} on ${from.host} · Tidegate`;
  const lagging = lag.secondsBehind === null ? [] : [inTime(lag.secondsBehind)];
  document.title = [...lagging, state, route].join(' · ');
}

function showTiles({ lag }) {
  // Until the first copy is complete there is no lag; its progress is shown instead.
  if (lag.snapshot === null) showLag(lag);
  else showCopy(lag.snapshot);
  setText(byId('transactions'), lag.transactionsBehind === null ? '–' : whole.format(lag.transactionsBehind));
  setText(byId('bytes'), inBytes(lag.bytesBehind));
  const unlimited = lag.headroomSeconds === null && lag.retentionSeconds === 0;
  setText(byId('headroom'), unlimited ? 'unlimited' : inTime(lag.headroomSeconds));
  // A source with a short retention always has little headroom, so the share counts, too.
  const isTight = lag.headroomSeconds < 86_400 && lag.headroomSeconds < lag.retentionSeconds / 4;
  setTone(
    byId('headroom'),
    lag.headroomSeconds === 0 ? 'is-bad' : lag.headroomSeconds !== null && isTight ? 'is-warn' : '',
  );
  showCount(
    'dead-letters',
    lag.deadLetters?.reduce((sum, { rows }) => sum + rows, 0),
    'is-warn',
  );
  showCount('suspended', lag.suspendedTables?.length, 'is-bad');
}

function showLag({ secondsBehind, rowsPerSecond, secondsToCatchUp }) {
  setText(byId('seconds-name'), 'behind the source');
  setText(byId('seconds'), secondsBehind === null ? 'not known' : inTime(secondsBehind));
  setTone(byId('seconds'), secondsBehind === null || secondsBehind > 60 ? 'is-warn' : '');
  setText(byId('rate-name'), 'row changes a second');
  setText(byId('rate'), rowsPerSecond === null ? '–' : whole.format(Math.round(rowsPerSecond)));
  setText(byId('catchup-name'), 'time to catch up');
  setText(byId('catchup'), inTime(secondsToCatchUp));
}

function showCopy({ percent, rowsPerSecond, secondsLeft }) {
  setText(byId('seconds-name'), 'of the first copy done');
  setText(byId('seconds'), `${percent} %`);
  setTone(byId('seconds'), 'is-busy');
  setText(byId('rate-name'), 'rows copied a second');
  setText(byId('rate'), rowsPerSecond === null ? '–' : whole.format(rowsPerSecond));
  setText(byId('catchup-name'), 'time left');
  setText(byId('catchup'), secondsLeft === null ? '–' : `about ${inTime(secondsLeft)}`);
}

/** A count that is better 0; undefined: not known. */
function showCount(id, count, tone) {
  setText(byId(id), count === undefined ? 'not known' : whole.format(count));
  setTone(byId(id), count === undefined ? 'is-warn' : count > 0 ? tone : 'is-soft');
}

function showSnapshot({ lag: { snapshot } }) {
  byId('snapshot').hidden = snapshot === null;
  if (snapshot === null) return;
  /** @type {HTMLProgressElement} */ (byId('snapshot-bar')).value = snapshot.percent;
  setText(
    byId('snapshot-text'),
    `${plural(snapshot.rows, 'row')} of about ${whole.format(snapshot.estimatedRows)} · ${snapshot.tablesDone} of ${plural(snapshot.tables, 'table')} done${copyPace(snapshot)}`,
  );
}

function copyPace({ rowsPerSecond, secondsLeft }) {
  const rate = rowsPerSecond === null ? '' : ` · ${plural(rowsPerSecond, 'row')} a second`;
  return secondsLeft === null ? rate : `${rate} · about ${inTime(secondsLeft)} left`;
}

/** A longer list is cut to this length. */
const mostShown = 20;

/** Everything that needs a person, the worst first. */
function showAttention({ lag }) {
  const things = [
    ...(lag.suspendedTables ?? []).map(({ table, reason, remedy }) => ({
      isBad: true,
      text: `Table ${table} is suspended: ${reason}. Remedy: ${remedy}.`,
    })),
    ...(lag.verifications ?? [])
      .filter(({ isEqual }) => !isEqual)
      .map((verification) => ({
        isBad: true,
        text: `Table ${verification.table} was not equal at ${timeOf(verification.at)}: ${differences(verification)}. \`tidegate verify --repair ${verification.table}\` repairs it.`,
      })),
    ...(lag.failedJobs ?? []).map(({ kind, table, at, reason }) => ({
      isBad: false,
      text: `The last ${kind} of ${table} failed at ${timeOf(at)}: ${reason}.`,
    })),
    ...(lag.deadLetters ?? []).map(({ table, column, reason, sqlState, rows }) => ({
      isBad: false,
      text: `${plural(rows, 'row')} of ${table} cannot be replicated${column === null ? '' : `, column ${column}`}: ${reason}${sqlState === null ? '' : ` (SQLSTATE ${sqlState})`}. \`tidegate dead-letters list ${table}\` lists them.`,
    })),
    ...lag.problems.map((problem) => ({ isBad: false, text: problem })),
  ];
  const left = things.length - mostShown;
  if (left > 0)
    things.splice(mostShown, left, { isBad: false, text: `And ${left} more; \`tidegate lag --json\` has all.` });
  byId('attention').hidden = things.length === 0;
  fillList(
    byId('attention-list'),
    things,
    ({ text }) => text,
    item,
    (element, { isBad, text }) => {
      element.classList.toggle('is-bad', isBad);
      setTextWithCode(element, text);
    },
  );
}

function differences({ missing, extra, different, rejected }) {
  const counts = { missing, extra, different, 'that cannot be replicated': rejected };
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${whole.format(count)} ${what}`)
    .join(', ');
}

/** More names are only counted. */
const mostNames = 50;

/** Tables that are not replicated now, by reason. */
function showLeftOut({ lag: { leftOutTables } }) {
  byId('left-out').hidden = leftOutTables?.length === 0;
  const count = leftOutTables?.reduce((sum, { tables }) => sum + tables.length, 0);
  setText(byId('left-out-count'), count === undefined ? 'not known now' : whole.format(count));
  fillList(
    byId('left-out-list'),
    (leftOutTables ?? []).slice(0, mostShown),
    ({ state, reason }) => `${state} ${reason}`,
    () => {
      const element = item();
      const names = document.createElement('span');
      names.className = 'count';
      element.append(document.createElement('span'), document.createElement('br'), names);
      return element;
    },
    (element, { state, reason, tables }) => {
      setText(element.firstElementChild, `${plural(tables.length, 'table')} ${state}: ${reason}`);
      const more = tables.length > mostNames ? ` and ${whole.format(tables.length - mostNames)} more` : '';
      setText(element.lastElementChild, `${tables.slice(0, mostNames).join(', ')}${more}`);
    },
  );
}

function showJobs({ lag }) {
  const jobs = lag.jobs ?? [];
  byId('jobs').hidden = jobs.length === 0;
  const running = jobs.filter(({ state }) => state === 'running');
  const waiting = jobs.length - running.length;
  setText(byId('jobs-waiting'), waiting === 0 ? '' : `${waiting} more wait`);
  fillList(
    byId('jobs-list'),
    running,
    ({ id }) => id,
    () => {
      const element = item();
      const bar = document.createElement('progress');
      element.append(document.createElement('span'), bar);
      return element;
    },
    (element, { kind, table, rows, estimatedRows }) => {
      const [label, bar] = element.children;
      setText(label, `${kind} ${table}: ${whole.format(rows)} of about ${plural(estimatedRows, 'row')}`);
      bar.max = Math.max(1, estimatedRows, rows);
      bar.value = rows;
      bar.setAttribute('aria-label', `${kind} ${table}`);
    },
  );
}

function showConversions({ lag }) {
  const conversions = lag.conversions ?? [];
  byId('conversions').hidden = conversions.length === 0;
  const values = conversions.reduce((sum, { count }) => sum + count, 0);
  setText(byId('conversions-count'), `${whole.format(values)} in ${plural(conversions.length, 'column')}`);
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
  byId('events-unknown').hidden = events !== null;
  if (events === null) return;
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

// --- Loading

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10_000) });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return await answer.json();
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
      showLeftOut,
      showJobs,
      showTables,
      showConversions,
      showEvents,
    ])
      part(status);
    await showHistory(status, ask);
    answeredAt = new Date();
    byId('silence').hidden = true;
  } catch {
    byId('silence').hidden = false;
    setText(
      byId('silence'),
      `No answer from Tidegate since ${answeredAt.toLocaleTimeString()}. The page shows the last known state and keeps trying.`,
    );
    setTone(byId('dot'), '');
    document.title = `no answer · ${route}`;
  }
}

byId('filter').addEventListener('input', drawTables);
for (const button of document.querySelectorAll('[data-minutes]'))
  button.addEventListener('click', () => {
    for (const each of document.querySelectorAll('[data-minutes]'))
      each.setAttribute('aria-pressed', String(each === button));
    showMinutes(Number(button.dataset.minutes));
  });
addEventListener('resize', resizeCharts);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', makeCharts);

drawColumns();
makeCharts();
for (;;) {
  await show();
  await new Promise((resolve) => setTimeout(resolve, everyMs));
}
