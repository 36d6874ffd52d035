import type { Config } from '../config/config.ts';
import { tableFilter } from '../config/table-filter.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { readCondition } from '../pipeline/jobs/where-condition.ts';
import { knownCodec } from '../mapping/table-codec.ts';
import { planTables, selectionOf } from '../pipeline/begin/table-plan.ts';
import { readCatalog } from '../mysql/catalog/catalog.ts';
import { SourceConnection } from '../mysql/connection.ts';
import { readCheckpoint } from '../postgres/control/checkpoint.ts';
import { type Confirmation, recordEvent } from '../postgres/control/events.ts';
import type { JobKind } from '../postgres/control/control-schema.ts';
import { type Job, readJobs, requestJobs } from '../postgres/control/jobs.ts';
import { hasControlTable, migrateControlSchema } from '../postgres/control/migrate.ts';
import { TargetSession } from '../postgres/session.ts';
import { type KnownTable, readTables } from '../postgres/control/table-states.ts';
import { confirm, namesInWords } from './confirm.ts';
import { followJobs } from './follow-jobs.ts';

export interface JobOptions {
  readonly kind: JobKind;
  readonly repair: boolean;
  readonly condition: string | null;
  readonly yes: boolean;
  /** Do not wait for the end. */
  readonly detach: boolean;
}

/**
 * Asks for jobs on these tables (none: on all) and waits for them. Where one stops because it would delete a large share of a
 * table, asks at the terminal whether it may. Raises refused for what cannot be asked for.
 */
export async function requestAndFollow(config: Config, tables: readonly string[], options: JobOptions): Promise<Job[]> {
  const session = await TargetSession.open(config.target, `tidegate ${options.kind}`);
  try {
    const names = await tablesMeant(config, session, tables, options);
    const { kind, repair, condition } = options;
    const { schema: replica } = config.target;
    const request = async (of: readonly string[], confirmed: Confirmation | null) =>
      await session.transaction(async (trx) => {
        if (confirmed !== null) await recordEvent(trx, 'deletions-confirmed', { tables: of, confirmed });
        return await requestJobs(trx, of, { kind, repair, condition, confirmed: confirmed !== null });
      });
    const ids = await request(names, options.yes ? 'option' : null);
    if (options.detach) return await readJobs(session.db, ids);
    const jobs = await followJobs(config, session, ids);
    const unconfirmed = jobs.filter((job) => job.unconfirmed);
    if (unconfirmed.length === 0 || !process.stdin.isTTY) return jobs;
    for (const { reason } of unconfirmed) process.stderr.write(`${reason}\n`);
    process.stderr.write(
      `this deletes rows of ${namesInWords(unconfirmed.map(({ table }) => table))} in schema ${config.target.schema} of ${config.target.database}\n`,
    );
    const confirmed = await confirm(config.environment, false, replica);
    if (confirmed === null) return jobs;
    const again = await followJobs(
      config,
      session,
      await request(
        unconfirmed.map(({ table }) => table),
        confirmed,
      ),
    );
    return [...jobs.filter((job) => !job.unconfirmed), ...again];
  } finally {
    await session.close();
  }
}

async function tablesMeant(
  config: Config,
  session: TargetSession,
  tables: readonly string[],
  { kind, condition }: JobOptions,
): Promise<readonly string[]> {
  const { schema: replica } = config.target;
  const nothing = () =>
    new TidegateError('refused', `nothing was copied into schema ${replica} yet`, {
      hint: 'Start `tidegate run` first; it copies every table and goes on from there.',
    });
  if (!(await session.guarded(async () => await hasControlTable(session.db, 'checkpoint')))) throw nothing();
  await migrateControlSchema(session);
  return await session.guarded(async () => {
    if ((await readCheckpoint(session.db)) === null) throw nothing();
    const known = new Map((await readTables(session.db)).map((table) => [table.table, table]));
    const unknown = tables.filter((name) => !known.has(name));
    const news = unknown.length > 0 && kind === 'backfill' ? await readNewTables(config) : new Map<string, string>();
    const refused = unknown.filter((name) => news.get(name) !== carried);
    if (refused.length > 0)
      throw new TidegateError(
        'refused',
        `there is no replicated table ${refused.map((name) => `${name}${news.has(name) ? ` (${news.get(name)})` : ''}`).join(', ')}`,
        {
          hint: `Names are as at the source, upper and lower case included; ${
            kind === 'backfill'
              ? 'a table must also be selected by TABLES_INCLUDE and TABLES_EXCLUDE'
              : `\`tidegate backfill ${refused.join(' ')}\` takes in what is new there`
          }.`,
        },
      );
    const isSelected = tableFilter(config.tables);
    const stateOf = (name: string) => known.get(name)?.state;
    const isKeyless = (name: string) => stateOf(name) === 'full-refresh';
    const keyless = tables.filter(isKeyless);
    if (keyless.length > 0 && (kind === 'verify' || condition !== null))
      throw new TidegateError(
        'refused',
        `table ${keyless.join(', ')} has no key: it is copied as a whole, and that is all that can be done`,
        { hint: '`tidegate backfill` copies it at once.' },
      );
    const names =
      tables.length > 0
        ? [...new Set(tables)]
        : [...known.keys()].filter(
            (name) => isSelected(name) && stateOf(name) !== 'excluded' && !(kind === 'verify' && isKeyless(name)),
          );
    if (condition !== null) for (const name of names) checkCondition(name, known.get(name), condition);
    return names;
  });
}

const carried = 'carried';

/** Selected tables of the source, each with why it cannot be carried, or with `carried`. */
async function readNewTables(config: Config): Promise<ReadonlyMap<string, string>> {
  const reader = await SourceConnection.open(config.source, 'reader');
  try {
    const { tables } = await readCatalog(reader, config.source.database);
    const { planned, leftOut } = planTables(tables, selectionOf(config));
    return new Map([
      ...planned.map(({ codec }) => [codec.schema.table, carried] as const),
      ...leftOut.map(({ table, reasons }) => [table, reasons.join('; ')] as const),
    ]);
  } finally {
    await reader.close();
  }
}

function checkCondition(name: string, table: KnownTable | undefined, condition: string): void {
  if (table === undefined || table.state === 'suspended' || table.state === 'excluded')
    throw new TidegateError('refused', `table ${name} must be backfilled as a whole first, without --where`);
  readCondition(condition, knownCodec(table.schema).schema);
}
