import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { Client } from 'pg';
import { compareDatabases, isEqual } from '../../../../testing/compare/compare.ts';
import { RunProcess, type RunLine, patienceMs } from '../../../../testing/run-process.ts';
import type { SourceServer, TargetServer } from '../../../../testing/servers/server.ts';

import { createReplica, type Replica } from '../../../../testing/replica.ts';
import { sharedServers } from '../../../support/shared-servers.ts';
import { atLeast } from '../../../mapping/types/type-case.ts';

/** Each look is a statement at a server, which the tests beside this one use, too. */
const pollMs = 50;

/** Rows of this table show how far the target has caught up; see `caughtUp`. */
const markTable = 'tide_mark';

interface Servers {
  readonly source: SourceServer;
  readonly target: TargetServer;
}

/**
 * A replica with `run` streaming, an administrator's session at either end, and ways to wait for expected states. It reads no
 * internals of Tidegate except its control schema, which is documented.
 */
export class Streaming {
  readonly #replica: Replica;
  readonly #servers: Servers;
  #source: Connection;
  #target: Client;
  #run: RunProcess;
  #mark = 0;

  private constructor(replica: Replica, servers: Servers, source: Connection, target: Client, run: RunProcess) {
    this.#replica = replica;
    this.#servers = servers;
    this.#source = source;
    this.#target = target;
    this.#run = run;
  }

  /**
   * Creates a database, lets `prepare` fill it, and waits until the replica streams. By default it uses the servers of the test
   * run.
   */
  static async start(
    prepare: (source: Connection) => Promise<void>,
    servers: Servers = sharedServers(),
    settings: Readonly<Record<string, string>> = {},
  ): Promise<Streaming> {
    const replica = await createReplica(servers.source, servers.target);
    const source = await replica.sourceAdmin();
    await source.query(`create table ${markTable} (id int not null primary key) engine=InnoDB`);
    await prepare(source);
    const run = new RunProcess({ ...replica.env, ...settings });
    const streaming = new Streaming(replica, servers, source, await connectTarget(replica), run);
    try {
      await run.logged('streaming');
    } catch (error) {
      await streaming.end();
      throw error;
    }
    return streaming;
  }

  get env(): Readonly<Record<string, string>> {
    return this.#replica.env;
  }

  /** The source database's name. */
  get database(): string {
    return this.#replica.database;
  }

  /** An administrator's session in the source database. */
  get source(): Connection {
    return this.#source;
  }

  /** An administrator's session in the target database, with the replica's schema first in its search path. */
  get target(): Client {
    return this.#target;
  }

  get run(): RunProcess {
    return this.#run;
  }

  async newSourceSession(): Promise<Connection> {
    return await this.#replica.sourceAdmin();
  }

  /** Another administrator's session in the target database. */
  async newTargetSession(): Promise<Client> {
    return await connectTarget(this.#replica);
  }

  /** Waits until everything committed at the source before the call is at the target. */
  async caughtUp(timeoutMs = patienceMs): Promise<void> {
    const mark = ++this.#mark;
    await this.#source.query(`insert into ${markTable} values (?)`, [mark]);
    await this.until(
      async () => (await this.#target.query(`select 1 from ${markTable} where id = $1`, [mark])).rowCount === 1,
      'the target has caught up',
      timeoutMs,
    );
  }

  /** Polls until `holds` is true. Throws, with the end of the log, after the timeout or if `run` has failed. */
  async until(holds: () => Promise<boolean>, what: string, timeoutMs = patienceMs): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!(await holds())) {
      if (this.#run.failed) throw new Error(`run has ended; waited until ${what}:\n${this.#run.tail()}`);
      if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}\n${this.#run.tail()}`);
      await sleep(pollMs);
    }
  }

  /** Rows of the target as arrays of text. */
  async rows(sql: string): Promise<(string | null)[][]> {
    const { rows } = await this.#target.query<(string | null)[]>({
      text: sql,
      rowMode: 'array',
      types: { getTypeParser: () => (value: string) => value },
    });
    return rows;
  }

  /**
   * How the tables differ, row by row; the source must be idle and the target caught up. `byKey`: the source is read through primary keys.
   */
  async differences(byKey = false): Promise<string[]> {
    const { host, port, user, password } = this.#servers.source;
    const compared = await compareDatabases({
      source: { host, port, user, password },
      database: this.#replica.database,
      target: this.#replica.targetAdminOptions,
      schema: this.#replica.schema,
      byKey,
    });
    return compared
      .filter((table) => !isEqual(table))
      .map(
        ({ table, missing, extra, different, examples }) =>
          `${table}: ${missing} missing, ${extra} extra, ${different} different: ${examples.join('; ')}`,
      );
  }

  /** The physical versions of the rows of a target table; a rewritten row has a new version. */
  async rowVersions(table: string): Promise<Set<string>> {
    return new Set((await this.rows(`select ctid || ' ' || xmin from ${table}`)).map(([version]) => version ?? ''));
  }

  /** Keeps suspended tables from returning by themselves, for tests that look at what is suspended. */
  async holdSuspended(): Promise<void> {
    await this.#target.query(`
      create function tidegate_raw.hold() returns trigger language plpgsql as
        $$ begin new.retry_at := now() + interval '1 day'; return new; end $$;
      create trigger hold before update on tidegate_raw.tables for each row
        when (new.retry_at is not null) execute function tidegate_raw.hold()`);
  }

  /** Lets them return now. */
  async releaseSuspended(): Promise<void> {
    await this.#target.query(`
      drop trigger hold on tidegate_raw.tables;
      drop function tidegate_raw.hold();
      update tidegate_raw.tables set retry_at = now() where retry_at is not null`);
  }

  async tableState(table: string): Promise<{ state: string | undefined; reason: string | undefined }> {
    const [row] = await this.rows(`select state, reason from tidegate_raw.tables where table_name = '${table}'`);
    return { state: row?.[0] ?? undefined, reason: row?.[1] ?? undefined };
  }

  /** The checkpoint as text that sorts in the order of positions. */
  async checkpoint(): Promise<string> {
    const [row] = await this.rows(`select file, "offset" from tidegate_raw.checkpoint`);
    return sortable(row?.[0], row?.[1]);
  }

  /** The end of the source's binlog, in the same form. */
  async sourcePosition(): Promise<string> {
    const { flavor, version } = this.#servers.source;
    const status = flavor === 'mysql' && atLeast(version, '8.4') ? 'show binary log status' : 'show master status';
    const [[end]] = await this.#source.query<RowDataPacket[]>(status);
    return sortable(String(end?.['File']), String(end?.['Position']));
  }

  async logged(msg: string, match: (line: RunLine) => boolean): Promise<RunLine> {
    return await this.#run.logged(msg, match);
  }

  /** Runs a query at the target again and again; `found` collects its rows, and there should be none. */
  watch(sql: string): { looks: () => number; stop: () => Promise<{ looks: number; found: unknown[] }> } {
    const stopping = new AbortController();
    const found: unknown[] = [];
    let looks = 0;
    const watching = (async () => {
      const client = await connectTarget(this.#replica);
      try {
        for (; !stopping.signal.aborted; looks++) {
          found.push(...(await client.query(sql)).rows);
          await sleep(3);
        }
      } finally {
        await client.end();
      }
    })();
    // `stop` reports the error; until then it must not count as unhandled.
    watching.catch(() => undefined);
    return {
      looks: () => looks,
      stop: async () => {
        stopping.abort();
        await watching;
        return { looks, found };
      },
    };
  }

  /** Opens the source session again after a restart of its server. */
  async reconnectSource(): Promise<void> {
    this.#source.destroy();
    this.#source = await this.#replica.sourceAdmin();
  }

  /** Opens the target session again after a restart of its server. */
  async reconnectTarget(): Promise<void> {
    this.#target = await connectTarget(this.#replica);
  }

  /** Starts a second program on the same replica. */
  another(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): RunProcess {
    return new RunProcess({ ...this.#replica.env, ...env }, args);
  }

  /** Stops the program at a commit and starts another. */
  async restart(): Promise<void> {
    await this.#run.stop();
    this.#run = new RunProcess(this.#replica.env);
    await this.#run.logged('streaming');
  }

  /** Makes another program the one that `until` and `end` use. */
  follow(run: RunProcess): void {
    this.#run = run;
  }

  /** Kills the program if it runs, and drops both databases. */
  async end(): Promise<void> {
    await this.#run.kill();
    this.#source.destroy();
    await this.#target.end();
    await this.#replica.drop();
  }
}

async function connectTarget(replica: Replica): Promise<Client> {
  const client = new Client(replica.targetAdminOptions);
  // A restarted server ends the session; the next query reports it.
  client.on('error', () => undefined);
  await client.connect();
  await client.query(`set search_path to "${replica.schema}"`);
  return client;
}

function sortable(file: string | null | undefined, offset: string | null | undefined): string {
  return `${file ?? ''}:${(offset ?? '').padStart(20, '0')}`;
}
