import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import mysql, { type ConnectionOptions } from 'mysql2/promise';
import { compareDatabases, isEqual } from '../testing/compare/compare.ts';
import { changeRandomRows, insertRandomRows, prepareRandomSession } from '../testing/random/random-rows.ts';
import { SeededRandom } from '../testing/random/seeded-random.ts';
import { startSource } from '../testing/servers/source.ts';
import { startTarget } from '../testing/servers/target.ts';
import { readSourceTables, type SourceTable } from '../testing/compare/source-columns.ts';
import { createReplica, type Replica } from '../testing/replica.ts';
import { compile } from './compile.ts';
import { MeasuredRun } from './measured-run.ts';
import { commandEnv } from '../testing/command-env.ts';

/**
 * Copies an entire schema from a dump file, with random rows in every table, while some thirty tables are written to. Then
 * compares it row by row: `node bench/opendental.ts SCHEMA.sql [--seed N] [--version 10.11]`. Exit 0 only if every table is
 * equal.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, version: { type: 'string' } },
});
const [schemaFile] = positionals;
if (schemaFile === undefined) {
  process.stderr.write('usage: node bench/opendental.ts SCHEMA.sql [--seed N] [--version VERSION]\n');
  process.exit(1);
}
process.exitCode = await main(schemaFile, Number(values.seed), values.version);

async function main(file: string, seed: number, version: string | undefined): Promise<number> {
  compile();
  const source = await startSource(version === undefined ? {} : { version });
  try {
    const target = await startTarget();
    try {
      const replica = await createReplica(source, target);
      const { host, port, user, password } = source;
      return await copyAndCompare(
        replica,
        { host, port, user, password, database: replica.database },
        file,
        new SeededRandom(seed),
      );
    } finally {
      await target.stop();
    }
  } finally {
    await source.stop();
  }
}

async function copyAndCompare(
  replica: Replica,
  admin: ConnectionOptions,
  file: string,
  random: SeededRandom,
): Promise<number> {
  const tables = await loadAndFill(admin, file, random);
  const checked = await new Promise<string>((resolve) => {
    execFile(process.execPath, ['src/cli.ts', 'check'], { env: commandEnv(replica.env) }, (error, stdout) =>
      resolve(error === null ? 'ready' : `not ready (${error.code}):\n${stdout}`),
    );
  });
  say(`check: ${checked}`);
  const stopping = new AbortController();
  const writing = keepChanging(admin, busiest(tables, random), random.fork('changes'), stopping.signal);
  const run = new MeasuredRun(replica.env);
  try {
    await run.logged('snapshot finished', () => true, 300_000);
    await sleep(5_000);
    stopping.abort();
    say(
      `snapshot: ${run.loggedAt('snapshot finished') - run.loggedAt('snapshot started')} ms; ${await writing} random changes`,
    );
    await run.stop();
  } finally {
    stopping.abort();
    await run.kill();
  }
  const rest = new MeasuredRun(replica.env, ['--until-caught-up']);
  await rest.succeeded();
  say(`peak resident memory: ${Math.round(run.peakBytes / 1_000_000)} MB`);
  const compared = await compareDatabases({
    source: admin,
    database: replica.database,
    target: replica.targetAdminOptions,
    schema: replica.schema,
  });
  const unequal = compared.filter((table) => !isEqual(table));
  const rows = compared.reduce((sum, table) => sum + table.sourceRows, 0);
  say(`${compared.length} tables, ${rows} rows: ${compared.length - unequal.length} equal, ${unequal.length} not`);
  for (const table of unequal) say(JSON.stringify(table));
  return unequal.length === 0 && compared.length === tables.length ? 0 : 1;
}

async function loadAndFill(admin: ConnectionOptions, file: string, random: SeededRandom): Promise<SourceTable[]> {
  const connection = await mysql.createConnection({ ...admin, multipleStatements: true, charset: 'utf8mb4' });
  try {
    await connection.query(await readFile(file, 'utf8'));
    const tables = await readSourceTables(connection, String(admin.database));
    await prepareRandomSession(connection);
    const large = new Set(
      tables
        .filter((table) => table.primaryKey.length === 1)
        .slice(0, 400)
        .filter((_, index) => index % 100 === 5),
    );
    const startedAt = Date.now();
    let rows = 0;
    for (const table of tables) {
      rows += await insertRandomRows(
        connection,
        table,
        large.has(table) ? 20_000 : random.int(30, 200),
        random.fork(table.name),
      );
    }
    say(
      `${tables.length} tables, ${rows} rows filled in ${Date.now() - startedAt} ms; large: ${[...large].map((table) => table.name).join(', ')}`,
    );
    return tables;
  } finally {
    await connection.end();
  }
}

/** The tables that are written to meanwhile: about thirty, chosen at random. */
function busiest(tables: readonly SourceTable[], random: SeededRandom): SourceTable[] {
  return tables.filter((table) => table.primaryKey.length > 0 && random.chance(30 / tables.length));
}

async function keepChanging(
  admin: ConnectionOptions,
  tables: readonly SourceTable[],
  random: SeededRandom,
  signal: AbortSignal,
): Promise<number> {
  const connection = await mysql.createConnection({ ...admin, charset: 'utf8mb4' });
  let changes = 0;
  try {
    await prepareRandomSession(connection);
    for (; !signal.aborted; changes++) {
      await changeRandomRows(connection, random.pick(tables), random);
      await sleep(random.int(0, 8));
    }
  } finally {
    await connection.end();
  }
  return changes;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
