import { tell } from './print.ts';
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
import { type Job, readJobs } from '../postgres/control/jobs.ts';
import { request, requestJobs } from '../postgres/control/requests.ts';
import { hasControlTable, migrateControlSchema } from '../postgres/control/migrate.ts';
import { Scope, inPart } from '../lifetime/scope.ts';
import { WritingSession } from '../postgres/session.ts';
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
  /** Without named tables: only the suspended ones. */
  readonly onlySuspended?: boolean;
}

export interface Followed {
  readonly jobs: readonly Job[];
  /** Why some of the tables have no job: to be raised once the jobs are reported. */
  readonly refusal: TidegateError | null;
}

/**
 * Requests jobs on these tables (an empty list: on all) and waits for them. If a job stops because it would delete a large share of
 * a table, asks for confirmation at the terminal. Raises refused if no table can have a job.
 */
export async function requestAndFollow(
  config: Config,
  tables: readonly string[],
  options: JobOptions,
): Promise<Followed> {
  await using scope = new Scope();
  const open = async (part: Scope) => await WritingSession.open(part, config.target, `tidegate ${options.kind}`);
  const session = await open(scope);
  const { names, refusal } = await tablesToRead(config, session, tables, options);
  if (names.length === 0) {
    if (refusal !== null) throw refusal;
    return { jobs: [], refusal };
  }
  const { kind, repair, condition } = options;
  const { schema: replica } = config.target;
  const ask = async (of: readonly string[], confirmed: Confirmation | null) =>
    await inPart(scope, async (part) => {
      // The jobs before took long, so the first session may be gone.
      return await request(await open(part), async (trx) => {
        if (confirmed !== null) await recordEvent(trx, 'deletions-confirmed', { tables: of, confirmed });
        return await requestJobs(trx, of, { kind, repair, condition, confirmed: confirmed !== null });
      });
    });
  const ids = await ask(names, options.yes ? 'option' : null);
  if (options.detach) return { jobs: await readJobs(session.db, ids), refusal };
  await session.close();
  const jobs = await followJobs(config, ids);
  const unconfirmed = jobs.filter((job) => job.unconfirmed);
  if (unconfirmed.length === 0 || !process.stdin.isTTY) return { jobs, refusal };
  for (const { reason } of unconfirmed) tell(`${reason}`);
  tell(
    `this deletes rows of ${namesInWords(unconfirmed.map(({ table }) => table))} in schema ${config.target.schema} of ${config.target.database}`,
  );
  const confirmed = await confirm(config.environment, false, replica);
  if (confirmed === null) return { jobs, refusal };
  const again = await followJobs(
    config,
    await ask(
      unconfirmed.map(({ table }) => table),
      confirmed,
    ),
  );
  return { jobs: [...jobs.filter((job) => !job.unconfirmed), ...again], refusal };
}

/** The tables that can have such a job. `refusal` names the others, each with its reason. */
async function tablesToRead(
  config: Config,
  session: WritingSession,
  tables: readonly string[],
  { kind, condition, onlySuspended = false }: JobOptions,
): Promise<{ readonly names: readonly string[]; readonly refusal: TidegateError | null }> {
  const { schema: replica } = config.target;
  const nothing = () =>
    new TidegateError('refused', `nothing was copied into schema ${replica} yet`, {
      hint: 'Start `tidegate run` first; it copies every table, then streams.',
    });
  if (!(await hasControlTable(session.db, 'checkpoint'))) throw nothing();
  await migrateControlSchema(session);
  if ((await readCheckpoint(session.db)) === null) throw nothing();
  const known = new Map((await readTables(session.db)).map((table) => [table.table, table]));
  const refusals: TidegateError[] = [];
  const unknown = tables.filter((name) => !known.has(name));
  const newTables = unknown.length > 0 && kind === 'backfill' ? await readNewTables(config) : new Map<string, string>();
  const refused = unknown.filter((name) => newTables.get(name) !== replicable);
  if (refused.length > 0)
    refusals.push(
      new TidegateError(
        'refused',
        `there is no replicated table ${refused.map((name) => `${name}${newTables.has(name) ? ` (${newTables.get(name)})` : ''}`).join(', ')}`,
        {
          hint: `Give each name exactly as at the source, including upper and lower case; ${
            kind === 'backfill'
              ? 'a table must also be selected by TABLES_INCLUDE and TABLES_EXCLUDE'
              : `\`tidegate backfill ${refused.join(' ')}\` adds a table that is new at the source`
          }.`,
        },
      ),
    );
  const isSelected = tableFilter(config.tables);
  const stateOf = (name: string) => known.get(name)?.state;
  const isKeyless = (name: string) => stateOf(name) === 'full-refresh';
  const keyless = kind === 'verify' || condition !== null ? tables.filter(isKeyless) : [];
  if (keyless.length > 0)
    refusals.push(
      new TidegateError('refused', `table ${keyless.join(', ')} has no key: it can only be refreshed in full`, {
        hint: '`tidegate backfill` without --where refreshes it at once.',
      }),
    );
  const cannot = new Set([...refused, ...keyless]);
  const names =
    tables.length > 0
      ? [...new Set(tables)].filter((name) => !cannot.has(name))
      : [...known.keys()].filter(
          (name) =>
            isSelected(name) &&
            (!onlySuspended || stateOf(name) === 'suspended') &&
            stateOf(name) !== 'excluded' &&
            stateOf(name) !== 'gone' &&
            !(kind === 'verify' && isKeyless(name)),
        );
  if (condition !== null) for (const name of names) checkCondition(name, known.get(name), condition);
  return { names, refusal: together(refusals) };
}

function together(refusals: readonly TidegateError[]): TidegateError | null {
  const [first, ...more] = refusals;
  if (first === undefined || more.length === 0) return first ?? null;
  return new TidegateError('refused', refusals.map(({ message }) => message).join('; '), {
    hint: refusals.map(({ hint }) => hint).join(' '),
  });
}

const replicable = 'replicable';

/** Selected tables of the source, each with `replicable` or the reason why it cannot be replicated. */
async function readNewTables(config: Config): Promise<ReadonlyMap<string, string>> {
  await using scope = new Scope();
  const reader = await SourceConnection.open(scope, config.source, 'reader');
  const { tables } = await readCatalog(reader, config.source.database);
  const { planned, leftOut } = planTables(tables, selectionOf(config));
  return new Map([
    ...planned.map(({ codec }) => [codec.schema.table, replicable] as const),
    ...leftOut.map(({ table, reasons }) => [table, reasons.join('; ')] as const),
  ]);
}

function checkCondition(name: string, table: KnownTable | undefined, condition: string): void {
  if (table === undefined || ['suspended', 'excluded', 'gone'].includes(table.state))
    throw new TidegateError('refused', `table ${name} needs a complete backfill first: run it without --where`);
  readCondition(condition, knownCodec(table.schema).schema);
}
