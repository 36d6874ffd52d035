import type { TableCodec } from '../../mapping/table-codec.ts';
import type { JobExample } from '../../postgres/control/control-schema.ts';
import type { Job, JobCounts } from '../../postgres/control/jobs.ts';
import type { KeyText } from '../../postgres/rows/table-key.ts';
import type { Reconciliation } from './reconciliation.ts';

/** The most differing rows that a job names. */
const mostExamples = 100;
/** Types whose values identify a row and never describe a person. */
const showable = /int$|^(decimal|year|date|datetime|timestamp|time|bit|uuid)$/;

/** The counts of a job so far, and the rows that it names. They start with those of an earlier attempt. */
export class JobTally {
  readonly #schema: TableCodec['schema'];
  #counts: JobCounts;
  #examples: readonly JobExample[];

  constructor({ counts, examples }: Job, { schema }: TableCodec) {
    this.#schema = schema;
    this.#counts = counts;
    this.#examples = examples;
  }

  get counts(): JobCounts {
    return this.#counts;
  }

  get examples(): readonly JobExample[] {
    return this.#examples;
  }

  /** How many more rows may be named. */
  get room(): number {
    return mostExamples - this.#examples.length;
  }

  add(more: Partial<JobCounts>): void {
    const counts: Record<string, number> = { ...this.#counts };
    for (const [name, count] of Object.entries(more)) counts[name] = (counts[name] ?? 0) + count;
    this.#counts = counts as unknown as JobCounts;
  }

  name(examples: Reconciliation['examples']): void {
    this.#examples = [...this.#examples, ...examples.map(({ what, key }) => ({ what, key: this.#shown(key) }))];
  }

  /** The key as shown to people; null if it holds text, which may be anything. */
  #shown(key: KeyText): string | null {
    const { primaryKey, columns } = this.#schema;
    return primaryKey.every((index) => showable.test(columns[index]?.type ?? '')) ? key.join(', ') : null;
  }
}
