import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { RunProcess } from '../../../testing/run-process.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';
import { verifiedAtRest } from '../at-rest.ts';
import { type KillRunOptions, type KillRunResult, killAgainAndAgain } from './kill-run.ts';
import { createKillTables, killTables } from './tables.ts';

export interface KillRoundOptions extends Pick<KillRunOptions, 'kills' | 'seed' | 'sizes' | 'say'> {
  readonly source: SourceServer;
  readonly target: TargetServer;
  /** Every table survives a crash of the source as its binlog has it. */
  readonly isCrashSafe: boolean;
}

export interface KillRoundResult extends KillRunResult {
  /** What was not as it must be. */
  readonly wrong: readonly string[];
  /** Rows compared. */
  readonly rows: number;
}

/**
 * One replica whose service is killed again and again, and the comparison of every row at the end. The servers may be killed, too, while
 * `kill` runs.
 */
export class KillRound {
  readonly replica: Replica;
  readonly #options: KillRoundOptions;
  #result: KillRunResult | undefined;

  private constructor(replica: Replica, options: KillRoundOptions) {
    this.replica = { ...replica, env: { ...replica.env, TABLES_REFRESH: killTables.keyless } };
    this.#options = options;
  }

  static async prepare(options: KillRoundOptions): Promise<KillRound> {
    const replica = await createReplica(options.source, options.target);
    const admin = await replica.sourceAdmin();
    try {
      await createKillTables(admin, options.sizes, options.isCrashSafe);
    } finally {
      await admin.end();
    }
    return new KillRound(replica, options);
  }

  async kill(): Promise<void> {
    const { replica } = this;
    this.#result = await killAgainAndAgain({
      ...this.#options,
      source: replica.sourceAdminOptions,
      target: replica.targetAdminOptions,
      schema: replica.schema,
      env: replica.env,
      mixed: this.#options.source.flavor === 'mariadb',
    });
  }

  /** Lets the service catch up undisturbed, and compares. */
  async finish(): Promise<KillRoundResult> {
    const { replica } = this;
    if (this.#result === undefined) throw new Error('nothing was killed yet');
    const { host, port, user, password } = this.#options.source;
    const atRest = await verifiedAtRest(replica, {
      verify: killTables.keyed,
      backfill: [killTables.keyless],
    });
    await new RunProcess(replica.env, ['--until-caught-up']).succeeded();
    const compared = await compareDatabases({
      source: { host, port, user, password },
      database: replica.database,
      target: replica.targetAdminOptions,
      schema: replica.schema,
    });
    const expected = killTables.keyed.length + 1;
    const wrong = [
      ...compared.filter((table) => !isEqual(table)).map((table) => `UNEQUAL ${JSON.stringify(table)}`),
      ...this.#result.violations.map(({ at, what }) => `TORN at ${at}: ${what}`),
      ...this.#result.jobs.wrong,
      ...atRest.wrong,
      ...(compared.length === expected ? [] : [`${compared.length} tables instead of ${expected}`]),
    ];
    return { ...this.#result, wrong, rows: compared.reduce((sum, { sourceRows }) => sum + sourceRows, 0) };
  }
}
