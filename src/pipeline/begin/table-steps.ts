import type { TableSchema } from '../../definition/table-schema.ts';
import { type TableCodec, isOmitted } from '../../mapping/table-codec.ts';
import type { Catalog } from '../../mysql/catalog/catalog.ts';
import type { Decision } from '../../postgres/control/control-schema.ts';
import { type Job, readsAll } from '../../postgres/control/jobs.ts';
import type { KnownTable } from '../../postgres/control/table-states.ts';
import type { Standing } from '../../postgres/rows/standing.ts';
import { type Step, type TableFacts, step } from '../table-life.ts';
import { type LeftOutTable, type Selection, type TablePlan, planTables } from './table-plan.ts';

/** A table, and what happens to it now. */
export interface TableStep {
  readonly table: string;
  readonly known: KnownTable | undefined;
  /** Its present columns; undefined: the source has no such table that can be replicated. */
  readonly codec: TableCodec | undefined;
  readonly standing: Standing;
  readonly openJobs: readonly Job[];
  readonly step: Step;
}

/** What the source, the control schema and the target say at one moment. */
export interface Situation {
  readonly catalog: Catalog;
  readonly selection: Selection;
  readonly known: readonly KnownTable[];
  readonly jobs: readonly Job[];
  readonly standings: ReadonlyMap<string, Standing>;
  /** Nothing was copied before. */
  readonly isFirst: boolean;
}

/** The names whose standing at the target matters. */
export function namesOf(catalog: Catalog, known: readonly KnownTable[]): string[] {
  return [...new Set([...known.map(({ table }) => table), ...catalog.tables.map(({ schema }) => schema.table)])];
}

/** Decides what happens to each table that the source or the control schema has. */
export function tableSteps({ catalog, selection, known, jobs, standings, isFirst }: Situation): {
  readonly plan: TablePlan;
  readonly steps: readonly TableStep[];
} {
  const plan = planTables(catalog.tables, selection);
  const keyed = new Map(plan.planned.map(({ codec }) => [codec.schema.table, codec]));
  const keyless = new Map(plan.fullRefresh.map(({ codec }) => [codec.schema.table, codec]));
  const leftOut = new Set(plan.leftOut.map(({ table }) => table));
  const sourceOf = (table: string): TableFacts['source'] => {
    if (keyed.has(table)) return 'keyed';
    if (keyless.has(table)) return 'keyless';
    return leftOut.has(table) ? 'refused' : 'absent';
  };
  const knownOf = new Map(known.map((table) => [table.table, table]));
  const jobsOf = Map.groupBy(jobs, ({ table }) => table);
  // A job of a table that neither side has must be ended, too.
  const names = [...new Set([...namesOf(catalog, known), ...jobsOf.keys()])];
  const steps = names.map((table): TableStep => {
    const before = knownOf.get(table);
    const openJobs = jobsOf.get(table) ?? [];
    const standing = standings.get(table) ?? { kind: 'free' };
    const source = sourceOf(table);
    // A table that waits for a correction of the source needs no other word once it is corrected.
    const isDue = before?.isDue === true || (before?.decision === 'correct-source' && source !== 'refused');
    const codec = keyed.get(table) ?? keyless.get(table);
    const facts: TableFacts = {
      state: before?.state ?? 'unknown',
      source,
      isSelected: selection.isSelected(table),
      asked: openJobs.some(readsAll) ? 'job' : isDue ? 'return' : 'nothing',
      omitsSame: before === undefined || codec === undefined || omittedOf(before.schema) === omittedOf(codec.source),
      target: standing.kind,
      isFirst,
    };
    return { table, known: before, codec, standing, openJobs, step: step(facts) };
  });
  return { plan, steps };
}

function omittedOf({ columns }: TableSchema): string {
  return columns
    .filter(isOmitted)
    .map(({ name }) => name)
    .join('\0');
}

/** The reason of a step that suspends a table, and the decision that the table waits for. */
export function suspensionBy(
  { table, standing, step: taken }: TableStep,
  leftOut: readonly LeftOutTable[],
): { readonly reason: string; readonly decision: Decision | null } {
  const cause = taken.action === 'suspend' ? taken.cause : null;
  if (cause === 'cancelled')
    return { reason: 'its backfill was cancelled before all of it was read', decision: 'backfill' };
  if (cause === 'refused')
    return {
      reason: `the source no longer has it in a form that can be replicated${whyLeftOut(leftOut, table)}`,
      // Nothing tells when somebody has repaired it, so it is tried again.
      decision: leftOut.some((one) => one.table === table && one.isDamaged) ? null : 'correct-source',
    };
  return {
    reason: 'what' in standing ? standing.what : `the name ${table} is taken at the target`,
    decision: null,
  };
}

export function whyLeftOut(leftOut: readonly LeftOutTable[], name: string): string {
  const reasons = leftOut.find(({ table }) => table === name)?.reasons ?? [];
  return reasons.length === 0 ? '' : `: ${reasons.join('; ')}`;
}
