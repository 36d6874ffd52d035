import { describe, expect, it } from 'vitest';
import { type TableFacts, step } from './table-life.ts';

const states = [
  ...([
    'unknown',
    'snapshotting',
    'backfilling',
    'streaming',
    'full-refresh',
    'suspended',
    'excluded',
    'gone',
  ] as const),
];
const targets = ['ours', 'free', 'foreign', 'closed'] as const;
const asks = ['nothing', 'return', 'job'] as const;

/**
 * What happens to a selected table, for each state (rows), by what is at the target (groups of columns: ours, free, foreign, closed) and by
 * what is asked (columns: nothing, return, job). `-`: nothing. A cause in a cell: the table is suspended for it.
 */
const grids: Readonly<Record<TableFacts['source'], string>> = {
  keyed: `
    unknown      | foreign   foreign   foreign   | add       add       add       | foreign   foreign   foreign   | closed    closed    closed
    snapshotting | -         -         -         | read      read      read      | foreign   foreign   foreign   | closed    closed    closed
    backfilling  | cancelled cancelled -         | read      read      read      | foreign   foreign   foreign   | closed    closed    closed
    streaming    | -         -         -         | read      read      read      | foreign   foreign   foreign   | closed    closed    closed
    full-refresh | read      read      read      | read      read      read      | foreign   foreign   foreign   | closed    closed    closed
    suspended    | -         read      read      | -         read      read      | -         foreign   foreign   | -         closed    closed
    excluded     | read      read      read      | read      read      read      | foreign   foreign   foreign   | closed    closed    closed
    gone         | read      read      read      | read      read      read      | foreign   foreign   foreign   | closed    closed    closed`,
  keyless: `
    unknown      | foreign   foreign   foreign   | refresh   refresh   refresh   | foreign   foreign   foreign   | closed    closed    closed
    snapshotting | refresh   refresh   refresh   | refresh   refresh   refresh   | foreign   foreign   foreign   | closed    closed    closed
    backfilling  | refresh   refresh   refresh   | refresh   refresh   refresh   | foreign   foreign   foreign   | closed    closed    closed
    streaming    | refresh   refresh   refresh   | refresh   refresh   refresh   | foreign   foreign   foreign   | closed    closed    closed
    full-refresh | refresh   refresh   refresh   | refresh   refresh   refresh   | foreign   foreign   foreign   | closed    closed    closed
    suspended    | -         refresh   refresh   | -         refresh   refresh   | -         foreign   foreign   | -         closed    closed
    excluded     | refresh   refresh   refresh   | refresh   refresh   refresh   | foreign   foreign   foreign   | closed    closed    closed
    gone         | refresh   refresh   refresh   | refresh   refresh   refresh   | foreign   foreign   foreign   | closed    closed    closed`,
  refused: `
    unknown      | -         -         -         | -         -         -         | -         -         -         | -         -         -
    snapshotting | refused   refused   refused   | refused   refused   refused   | refused   refused   refused   | refused   refused   refused
    backfilling  | refused   refused   refused   | refused   refused   refused   | refused   refused   refused   | refused   refused   refused
    streaming    | refused   refused   refused   | refused   refused   refused   | refused   refused   refused   | refused   refused   refused
    full-refresh | refused   refused   refused   | refused   refused   refused   | refused   refused   refused   | refused   refused   refused
    suspended    | -         refused   refused   | -         refused   refused   | -         refused   refused   | -         refused   refused
    excluded     | -         -         -         | -         -         -         | -         -         -         | -         -         -
    gone         | refused   refused   refused   | refused   refused   refused   | refused   refused   refused   | refused   refused   refused`,
  absent: `
    unknown      | -         -         -         | -         -         -         | -         -         -         | -         -         -
    snapshotting | gone      gone      gone      | gone      gone      gone      | gone      gone      gone      | gone      gone      gone
    backfilling  | gone      gone      gone      | gone      gone      gone      | gone      gone      gone      | gone      gone      gone
    streaming    | gone      gone      gone      | gone      gone      gone      | gone      gone      gone      | gone      gone      gone
    full-refresh | gone      gone      gone      | gone      gone      gone      | gone      gone      gone      | gone      gone      gone
    suspended    | gone      gone      gone      | gone      gone      gone      | gone      gone      gone      | gone      gone      gone
    excluded     | -         -         -         | -         -         -         | -         -         -         | -         -         -
    gone         | -         -         -         | -         -         -         | -         -         -         | -         -         -`,
};

function inWords(facts: TableFacts): string {
  const taken = step(facts);
  if (taken.action === 'suspend') return taken.cause;
  return { none: '-', 'mark-gone': 'gone' }[taken.action as string] ?? taken.action;
}

describe.each(Object.entries(grids))('a selected table that is %s at the source', (source, grid) => {
  it.each(
    grid
      .trim()
      .split('\n')
      .map((line) => line.split('|').map((part) => part.trim())),
  )('and %s in the control schema', (state, ...groups) => {
    const found = targets.map((target) =>
      asks.map((asked) =>
        inWords({ state, source, isSelected: true, asked, omitsSame: true, target, isFirst: false } as TableFacts),
      ),
    );
    expect(found).toEqual(groups.map((group) => group.split(/ +/)));
  });

  it('has a line for each state', () => {
    expect(
      grid
        .trim()
        .split('\n')
        .map((line) => line.trim().split(/[ |]/)[0]),
    ).toEqual(states);
  });
});

it.each(states)('a table that is not selected and %s is excluded once, whatever else is so', (state) => {
  const actions = combinations()
    .filter((facts) => facts.state === state && !facts.isSelected)
    .map((facts) => step(facts).action);
  expect(new Set(actions)).toEqual(new Set([state === 'unknown' || state === 'excluded' ? 'none' : 'exclude']));
});

it('an action leads to the state that it is named for, and only an action changes the state', () => {
  const leadsTo: Readonly<Record<string, string>> = {
    ...{ add: 'backfilling', read: 'backfilling', refresh: 'full-refresh', suspend: 'suspended' },
    ...{ exclude: 'excluded', 'mark-gone': 'gone' },
  };
  for (const facts of combinations()) {
    const { action, next } = step(facts);
    expect(next).toBe(leadsTo[action] ?? facts.state);
    // What somebody else made is never added, reshaped or read into.
    if (facts.target === 'foreign' || facts.target === 'closed')
      expect(['add', 'read', 'refresh']).not.toContain(action);
  }
});

it('a table whose rows are at the target and that omits other columns than before is read again', () => {
  const changed = combinations().filter((facts) => step(facts).action !== step({ ...facts, omitsSame: true }).action);
  expect(changed.map((facts) => [facts.state, facts.asked, step(facts).action])).toEqual([
    ...asks.map((asked) => ['snapshotting', asked, 'read']),
    ['backfilling', 'job', 'read'],
    ...asks.map((asked) => ['streaming', asked, 'read']),
  ]);
  for (const facts of changed) expect(facts).toMatchObject({ source: 'keyed', target: 'ours', isSelected: true });
});

it('the tables of the first run are copied before the stream starts', () => {
  const facts = {
    ...({ state: 'unknown', source: 'keyed', isSelected: true, asked: 'nothing' } as const),
    ...({ omitsSame: true, target: 'free' } as const),
  };
  expect(step({ ...facts, isFirst: true }).next).toBe('snapshotting');
  expect(step({ ...facts, isFirst: false }).next).toBe('backfilling');
});

function combinations(): TableFacts[] {
  return (Object.keys(grids) as TableFacts['source'][]).flatMap((source) =>
    states.flatMap((state) =>
      targets.flatMap((target) =>
        asks.flatMap((asked) =>
          [true, false].flatMap((isSelected) =>
            [true, false].map((omitsSame) => ({ state, source, isSelected, asked, omitsSame, target, isFirst: false })),
          ),
        ),
      ),
    ),
  );
}
