// The list of tables, with a filter by name or state and sorting by any column.

import { byId, fillList, setText, setTone, toneOf } from './elements.js';
import { timeOf, whole } from './format.js';

const columns = [
  { name: 'table', label: 'table', of: (row) => row.table },
  { name: 'state', label: 'state', of: (row) => row.state, toneOf: (row) => toneOf(row.state) },
  { name: 'rows', label: 'rows copied', of: (row) => row.rows, text: (row) => copied(row) },
  {
    name: 'applied',
    label: 'changes',
    of: (row) => row.applied,
    toneOf: (row) => softIf(row.applied === 0),
  },
  {
    name: 'deadLetters',
    label: 'dead letters',
    of: (row) => row.deadLetters,
    toneOf: (row) => (row.deadLetters > 0 ? 'is-warn' : 'is-soft'),
  },
  {
    name: 'verifiedAt',
    label: 'verified',
    of: (row) => row.verifiedAt ?? '',
    text: (row) => (row.verifiedAt === null ? 'never' : timeOf(row.verifiedAt)),
    toneOf: (row) => (row.isEqual === false ? 'is-bad' : softIf(row.verifiedAt === null)),
  },
];
const sorting = { column: columns[0], isDescending: false };
let tableRows = [];

function softIf(isNothing) {
  return isNothing ? 'is-soft' : '';
}

function copied({ rows, estimatedRows, state }) {
  if (state !== 'snapshotting' || estimatedRows === null || estimatedRows === 0) return whole.format(rows);
  return `${whole.format(rows)} (${Math.min(99, Math.floor((100 * rows) / estimatedRows))} %)`;
}

function compareRows(a, b) {
  const [x, y] = [sorting.column.of(a), sorting.column.of(b)];
  const order = typeof x === 'number' ? x - y : x.localeCompare(y);
  return (sorting.isDescending ? -order : order) || a.table.localeCompare(b.table);
}

/** Shows the list. A list that is not known now stays as it was. */
export function showTables({ tables, lag }) {
  byId('tables-unknown').hidden = tables !== null;
  if (tables === null) return;
  const verifications = new Map((lag.verifications ?? []).map((verification) => [verification.table, verification]));
  tableRows = tables.map((row) => {
    const { at = null, isEqual = null } = verifications.get(row.table) ?? {};
    return { ...row, verifiedAt: at, isEqual };
  });
  drawTables();
}

export function drawTables() {
  const wanted = /** @type {HTMLInputElement} */ (byId('filter')).value.trim().toLowerCase();
  const shown = tableRows
    .filter(({ table, state }) => table.toLowerCase().includes(wanted) || state.includes(wanted))
    .toSorted(compareRows);
  setText(
    byId('table-count'),
    shown.length === tableRows.length ? `${shown.length}` : `${shown.length} of ${tableRows.length}`,
  );
  fillList(byId('rows'), shown, ({ table }) => table, makeRow, updateRow);
}

function makeRow() {
  const element = document.createElement('tr');
  for (const { name, label } of columns) {
    const cell = document.createElement(name === 'table' ? 'th' : 'td');
    if (name === 'table') cell.scope = 'row';
    else cell.dataset.label = label;
    element.append(cell);
  }
  return element;
}

function updateRow(element, row) {
  for (const [index, { name, of, text, toneOf: tone }] of columns.entries()) {
    const cell = element.children[index];
    const value = of(row);
    setText(cell, text === undefined ? (typeof value === 'number' ? whole.format(value) : value) : text(row));
    if (name === 'table') cell.title = row.table;
    if (name === 'state') cell.title = row.reason ?? '';
    if (tone !== undefined) setTone(cell, tone(row));
  }
}

export function drawColumns() {
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
