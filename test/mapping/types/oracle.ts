import fc from 'fast-check';
import type { Connection } from 'mysql2/promise';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';

import { type Replica, createReplica } from '../../../testing/replica.ts';
import { casesOn } from './all-cases.ts';
import { zoneStatements } from './cases/zones.ts';
import { differences, misread, suspendedReason } from './direct-check.ts';
import { type TypeCase, paths } from './type-case.ts';

/** The result of one case on one server. */
export interface CaseResult {
  readonly name: string;
  readonly type: string;
  /** The number of values that the server accepted; each was compared on three paths. */
  readonly values: number;
  /** Why the table is not carried; null if it is. */
  readonly refused: string | null;
  readonly problems: readonly string[];
}

export interface OracleOptions {
  readonly seed: number;
  /** The number of random values per type. */
  readonly random: number;
  /** The engine of every table that names none. */
  readonly engine?: string;
}

/**
 * Writes every value of every case to the source on three paths and uses three judges: the comparison by value with the server's
 * text, the target's text of the three rows of a value, and the text that a case expects from PostgreSQL.
 */
export async function judgeTypes(
  source: SourceServer,
  target: TargetServer,
  options: OracleOptions,
): Promise<CaseResult[]> {
  const cases = casesOn(source).filter((one) => options.engine === undefined || !one.name.startsWith('hidden_'));
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  try {
    await admin.query('set sql_log_bin = 0');
    for (const statement of zoneStatements) await admin.query(statement.replace('insert into', 'replace into'));
    await admin.query('set sql_log_bin = 1');
    const literals = new Map(cases.map((one) => [one.name, sqlOf(one, options)]));
    const of = (one: TypeCase) => literals.get(one.name) ?? [];
    for (const one of cases) {
      await createCaseTable(admin, one, options.engine);
      await enter(admin, one);
      const ids = of(one).map((_, index) => `(${index + paths.update})`);
      await admin.query(`insert into ${one.name} (id) values ${ids.join(', ')}`);
      await insertValues(admin, one, of(one), paths.snapshot);
    }
    const rules = cases.flatMap(({ name, rule }) => (rule === undefined ? [] : [`${name}.v=${rule}`])).join(',');
    const left = await run(replica, rules);
    const afterSnapshot = await unequal(source, replica, cases, left);
    for (const one of cases) {
      await enter(admin, one);
      await insertValues(admin, one, of(one), paths.insert);
      await admin.query(`set time_zone = '+00:00'`);
      const { written = 'v' } = one;
      await admin.query(
        `update ${one.name} t join ${one.name} s on s.id = t.id - ${paths.update} set t.${written} = s.${written} where t.id >= ${paths.update}`,
      );
    }
    await run(replica, rules);
    const afterStream = await unequal(source, replica, cases, left);
    const results: CaseResult[] = [];
    for (const one of cases) {
      const judged = { name: one.name, type: one.type, values: await accepted(admin, one) };
      const reason = left.get(one.name) ?? (await suspendedReason(replica, one.name));
      if (reason !== null) results.push({ ...judged, refused: reason, problems: [] });
      else {
        const problems = [...(afterSnapshot.get(one.name) ?? []), ...(afterStream.get(one.name) ?? [])];
        results.push({
          ...judged,
          refused: null,
          problems: [...problems, ...(await differences(replica, one)), ...(await misread(admin, replica, one))],
        });
      }
    }
    return results;
  } finally {
    admin.destroy();
    await replica.drop();
  }
}

function sqlOf(one: TypeCase, { seed, random }: OracleOptions): string[] {
  const values = one.values.map((value) => (typeof value === 'string' ? value : value[0]));
  return [...values, 'null', ...(one.random === undefined ? [] : fc.sample(one.random, { seed, numRuns: random }))];
}

export async function createCaseTable(admin: Connection, one: TypeCase, engine: string | undefined): Promise<void> {
  const { name, column, more, options = '', making } = one;
  if (making !== undefined) await admin.query(making[0]);
  const charset = options === '' ? 'default character set utf8mb4' : options;
  await admin.query(
    `create table ${name} (id int not null primary key, v ${column}${more === undefined ? '' : `, ${more}`}) ${engine === undefined ? '' : `engine=${engine}`} ${charset}`,
  );
  if (making !== undefined) await admin.query(making[1]);
}

/** Sets the session for a case: it accepts any value, and times are in UTC. */
export async function enter(admin: Connection, one: TypeCase): Promise<void> {
  await admin.query(`set sql_mode = '', time_zone = '+00:00'`);
  for (const statement of one.session ?? []) await admin.query(statement);
}

/** Inserts the values together, or one by one if the server refuses one. A refused value is not part of the test. */
export async function insertValues(
  admin: Connection,
  one: TypeCase,
  values: readonly string[],
  base: number,
): Promise<void> {
  const into = `insert into ${one.name} (id, ${one.written ?? 'v'}) values`;
  const rows = values.map((value, index) => `(${index + base}, ${value})`);
  try {
    await admin.query(`${into} ${rows.join(', ')}`);
  } catch {
    await admin.query(`delete from ${one.name} where id between ${base} and ${base + values.length}`);
    for (const row of rows) await admin.query(`${into} ${row}`).catch(() => undefined);
  }
}

async function accepted(admin: Connection, one: TypeCase): Promise<number> {
  const [rows] = await admin.query(`select count(*) as n from ${one.name} where id < ${paths.insert}`);
  return Number((rows as { n: number }[])[0]?.n);
}

/** Runs the program to the source's end; returns the tables that it left out, with the reasons. */
async function run(replica: Replica, rules: string): Promise<Map<string, string>> {
  const program = new RunProcess({ ...replica.env, COLUMN_RULES: rules }, ['--until-caught-up']);
  await program.succeeded();
  return new Map(
    program.lines
      .filter(({ msg }) => msg === 'table left out')
      .map((line) => [String(line['table']), String(line['reasons'] ?? line['reason'])]),
  );
}

/** The differences that the comparison by value finds, by table. */
async function unequal(
  source: SourceServer,
  replica: Replica,
  cases: readonly TypeCase[],
  left: ReadonlyMap<string, string>,
): Promise<Map<string, readonly string[]>> {
  const compared = await compareDatabases({
    source: { host: source.host, port: source.port, user: source.user, password: source.password },
    database: replica.database,
    target: replica.targetAdminOptions,
    schema: replica.schema,
    tables: cases.filter(({ name, byTarget }) => !left.has(name) && byTarget === undefined).map(({ name }) => name),
  });
  return new Map(
    compared
      .filter((table) => !isEqual(table))
      .map(({ table, missing, extra, different, examples }) => [
        table,
        [`${missing} missing, ${extra} extra, ${different} different`, ...examples],
      ]),
  );
}
