import { isEqual, type TableComparison } from '../testing/compare/compare.ts';
import { bad, count, good, line } from './screen.ts';

/** Prints both ends table by table; true if every row of every table is equal. */
export function reportComparison(compared: readonly TableComparison[]): boolean {
  const width = Math.max(...compared.map(({ table }) => table.length));
  line(`${'table'.padEnd(width)}  ${'source'.padStart(9)}  ${'target'.padStart(9)}`);
  for (const table of compared) {
    const rows = `${count(table.sourceRows).padStart(9)}  ${count(table.targetRows).padStart(9)}`;
    line(`${table.table.padEnd(width)}  ${rows}  ${isEqual(table) ? good('equal') : bad(differences(table))}`);
    for (const example of table.examples) line(`  ${example}`);
  }
  const unequal = compared.filter((table) => !isEqual(table));
  const rows = compared.reduce((sum, { sourceRows }) => sum + sourceRows, 0);
  const counted = `${compared.length} tables, ${count(rows)} rows`;
  line('');
  line(
    unequal.length === 0
      ? good(`${counted}: every row of every table is equal`)
      : bad(`${counted}: ${unequal.length} tables are not equal`),
  );
  return unequal.length === 0;
}

function differences({ missing, extra, different }: TableComparison): string {
  return [
    [missing, 'missing'],
    [extra, 'extra'],
    [different, 'different'],
  ]
    .filter(([amount]) => amount !== 0)
    .map(([amount, kind]) => `${count(Number(amount))} ${kind}`)
    .join(', ');
}
