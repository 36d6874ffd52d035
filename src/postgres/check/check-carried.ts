import type { Finding } from '../../errors/finding.ts';
import { readConversions } from '../control/conversions.ts';
import { groupDeadLetters } from '../control/dead-letter-list.ts';
import { hasControlTable } from '../control/migrate.ts';
import { readStates } from '../control/table-states.ts';
import type { Reading } from '../session.ts';

const conversions = {
  'date-to-null': 'dates that PostgreSQL does not have became NULL',
  'nul-replaced': 'characters U+0000 became U+FFFD',
  'sentinel-to-null': 'dates that mean no date by COLUMN_RULES became NULL',
} as const;

/** Reports the known differences between source and target: dead letters and conversions. */
export async function checkCarried(db: Reading): Promise<Finding[]> {
  if (!(await hasControlTable(db, 'dead_letters'))) return [];
  const states = new Map((await readStates(db)).map(({ table, state }) => [table, state]));
  const deadLetters = (await groupDeadLetters(db)).filter(({ table }) => states.get(table) !== 'excluded');
  const dead = deadLetters.map(({ table, column, reason, sqlState, rows }): Finding => ({
    level: 'warning',
    subject: `table ${table}`,
    message: `${rows} ${rows === 1 ? 'row is a dead letter' : 'rows are dead letters'}: ${column === null ? '' : `column ${column}: `}${reason}${sqlState === null ? '' : ` (SQLSTATE ${sqlState})`}`,
    remedy:
      sqlState === null
        ? `repair them at the source: any change of such a row resolves it; tidegate dead-letters list ${table} names them`
        : `correct the target, then run tidegate dead-letters retry ${table}`,
  }));
  const converted = (await readConversions(db)).map(({ table, column, kind, count }): Finding => ({
    level: 'ok',
    subject: `table ${table}`,
    message: `column ${column}: ${count} ${conversions[kind]}`,
  }));
  return [...dead, ...converted];
}
