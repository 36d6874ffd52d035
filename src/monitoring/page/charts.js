// Lag and throughput over time.

import { byId, setText } from './elements.js';
import { short } from './format.js';

/** /history.json keeps the same number of points. */
const pointsKept = 4_320;
/** The shortest time axis, for a process that has just started. */
const leastSeconds = 120;

/** Number, time in milliseconds, seconds behind, rows a second, bytes behind. */
let points = [];
let startedAt = '';
let minutes = 15;
const charts = [
  // `least` is the lowest top of the value axis, so that a tenth of a second does not fill the chart.
  { id: 'lag-chart', field: 2, label: 'seconds behind', least: 5, plot: null },
  { id: 'rate-chart', field: 3, label: 'row changes a second', least: 10, plot: null },
];
/** Distances between time labels, in seconds. All are full minutes, so that no label repeats. */
const minutesApart = [1, 2, 5, 10, 15, 30, 60, 120].map((each) => each * 60);
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const exactClock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function captionOf({ id }) {
  return byId(id).parentElement.querySelector('figcaption');
}

/** Shows the label of a chart, with the value under the pointer. */
function showPointed(chart) {
  const { plot, label } = chart;
  const index = plot?.cursor.idx ?? null;
  const value = index === null ? undefined : plot.data[1][index];
  const pointed =
    value === undefined
      ? ''
      : ` · ${value === null ? 'not known' : short.format(value)} at ${exactClock.format(plot.data[0][index] * 1_000)}`;
  setText(captionOf(chart), `${label}${pointed}`);
}

function optionsOf(chart, box) {
  const axis = { stroke: style('--soft'), grid: { stroke: style('--line'), width: 1 }, ticks: { show: false } };
  const accent = style('--accent');
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    // Both charts share the pointer.
    cursor: { y: false, sync: { key: 'time' }, points: { size: 7, fill: accent } },
    hooks: { setCursor: [() => showPointed(chart)] },
    scales: { x: { time: true }, y: { range: (_plot, _low, high) => [0, Math.max(chart.least, (high ?? 0) * 1.1)] } },
    axes: [
      {
        ...axis,
        size: 28,
        space: 70,
        incrs: minutesApart,
        values: (_plot, times) => times.map((time) => clock.format(time * 1_000)),
      },
      { ...axis, size: 44, values: (_plot, values) => values.map((value) => short.format(value)) },
    ],
    series: [{}, { stroke: accent, fill: `${accent}22`, width: 1.5, points: { show: false }, spanGaps: false }],
  };
}

/** Creates the charts. A plot cannot change its colours later, so a new colour scheme needs new plots. */
export function makeCharts() {
  for (const chart of charts) {
    const box = byId(chart.id);
    chart.plot?.destroy();
    chart.plot = new globalThis.uPlot(optionsOf(chart, box), [[], []], box);
    showPointed(chart);
  }
  drawCharts();
}

function drawCharts() {
  const now = Date.now() / 1_000;
  const shown = points.filter(([, at]) => at / 1_000 > now - minutes * 60);
  const times = shown.map(([, at]) => at / 1_000);
  // The axis of a young process starts at its first point.
  const begin = Math.min(Math.max(now - minutes * 60, times[0] ?? now), now - leastSeconds);
  for (const chart of charts) {
    chart.plot?.setData([times, shown.map((point) => point[chart.field])], false);
    chart.plot?.setScale('x', { min: begin, max: now });
    showPointed(chart);
  }
}

export function showMinutes(chosen) {
  minutes = chosen;
  drawCharts();
}

export function resizeCharts() {
  for (const { plot, id } of charts) plot?.setSize({ width: byId(id).clientWidth, height: byId(id).clientHeight });
}

/** Loads the points since the last call. `ask` fetches a path as JSON. */
export async function showHistory({ instance }, ask) {
  // A new process numbers its points from 1 again.
  if (instance.startedAt !== startedAt) points = [];
  startedAt = instance.startedAt;
  const { points: newPoints } = await ask(`history.json?after=${points.at(-1)?.[0] ?? 0}`);
  points = [...points, ...newPoints].slice(-pointsKept);
  drawCharts();
}
