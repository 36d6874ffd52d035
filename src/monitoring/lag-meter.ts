import { setTimeout as sleep } from 'node:timers/promises';
import { type Position, comparePositions } from '../change/position.ts';
import type { Config } from '../config/config.ts';
import { describeError } from '../errors/describe-error.ts';
import { type BinlogFiles, SourceProbe, type SourceStatus } from '../mysql/position/source-status.ts';
import { type Target, TargetSession } from '../postgres/session.ts';
import { HeadHistory } from './head-history.ts';
import { KeptConnection } from './kept-connection.ts';
import { type LagReport, describeLag } from './lag-report.ts';
import {
  type Findings,
  type ReplicaStatus,
  noFindings,
  readFindings,
  readReplicaStatus,
} from '../postgres/control/status.ts';

/** Whoever asks has his answer within five seconds, whatever the servers do. */
const patienceMs = 4_000;
/** The target is asked when the source has had its share of that. */
const sourceShare = 0.75;
/** A program that took its time to start on a busy machine waits less, but no less than this. */
const leastPatienceMs = 2_000;
/** Findings cost the target more than a look at its checkpoint. */
const findingsMs = 5_000;
/**
 * What other databases of the source write moves the checkpoint twice a second only. A service that is hardly behind is given so
 * long to say that it has passed what the source had.
 */
const arrivingMs = 700;
const hardlySeconds = 2;
const lookAgainMs = 50;

export interface Measured {
  /** The moment of which the report tells. */
  readonly at: Date;
  readonly report: LagReport;
  /** Null: the target did not answer. */
  readonly status: ReplicaStatus | null;
  readonly findings: Findings;
  readonly isReachable: { readonly source: boolean; readonly target: boolean };
}

/** Measures how far the target is behind, once or again and again; in between it keeps its two connections and what it learnt. */
export class LagMeter {
  readonly #source: KeptConnection<SourceProbe>;
  readonly #target: KeptConnection<TargetSession>;
  readonly #history = new HeadHistory();
  /** Whose heads the history holds. */
  #identity: string | null = null;
  #findings: { readonly at: number; readonly found: Findings } | null = null;

  constructor(config: Config, applicationName: string) {
    this.#source = new KeptConnection('source', async (hangUp) => await SourceProbe.open(config.source, hangUp));
    this.#target = new KeptConnection(
      'target',
      async (hangUp) => await TargetSession.open(config.target, applicationName, hangUp),
    );
  }

  /** The server that answered last; null: none did yet. */
  get identity(): string | null {
    return this.#identity;
  }

  /** Where it was when, as `lag` reads it from the status: clock, file, offset. */
  get heads(): [clock: number, file: string, offset: number][] {
    return this.#history.samples.map(({ clock, head }) => [clock, head.file, head.offset]);
  }

  /**
   * Asks both databases: what one does not answer, or not in time, is null, with the reason among the problems. The source is asked
   * first, so that what was committed after the question is no lag.
   */
  async measure(patience = patienceMs): Promise<Measured> {
    const begun = performance.now();
    const deadline = begun + patience;
    const sourcePatience = sourceShare * patience;
    const problems: string[] = [];
    const told = (error: unknown) => {
      problems.push(describeError(error).message);
      return null;
    };
    this.#target.begin();
    const asked = new Date();
    const source = await this.#source.ask(async (probe) => await probe.read(), sourcePatience).catch(told);
    const target = await this.#askTarget(async (db) => await this.#readTarget(db), deadline).catch(told);
    if (source !== null) this.#learn(source, target?.status ?? null);
    const files =
      source === null ? null : await this.#files(source, target?.status ?? null, begun + sourcePatience, told);
    const answers = { source, files, history: this.#history, problems };
    const report = describeLag({ ...answers, target });
    const rest = {
      status: target?.status ?? null,
      findings: target?.findings ?? noFindings,
      isReachable: { source: source !== null, target: target !== null },
    };
    if (source === null || target === null || !isArriving(report, target.status)) return { at: asked, report, ...rest };
    const status = await this.#arrival(source.head, deadline).catch(told);
    if (status === null) return { at: asked, report, ...rest };
    return { ...rest, at: new Date(), status, report: describeLag({ ...answers, target: { ...target, status } }) };
  }

  /** The first measurement of a program that was started for it: its start counts, too. */
  async measureAtStart(): Promise<Measured> {
    return await this.measure(Math.max(leastPatienceMs, patienceMs - performance.now()));
  }

  /** Something changed that findings tell of: the next measurement reads them anew. */
  forgetFindings(): void {
    this.#findings = null;
  }

  /** Does something at the target, on the same connection. */
  async atTarget<T>(work: (db: Target) => Promise<T>): Promise<T> {
    return await this.#askTarget(work, performance.now() + patienceMs);
  }

  async close(): Promise<void> {
    await Promise.all([this.#source.close(), this.#target.close()]);
  }

  async #askTarget<T>(work: (db: Target) => Promise<T>, deadline: number): Promise<T> {
    return await this.#target.ask(
      async (session) => await session.guarded(async () => await work(session.db)),
      Math.max(1, deadline - performance.now()),
    );
  }

  async #readTarget(db: Target): Promise<{ status: ReplicaStatus | null; findings: Findings }> {
    const status = await readReplicaStatus(db);
    if (this.#findings === null || performance.now() - this.#findings.at > findingsMs)
      this.#findings = { at: performance.now(), found: await readFindings(db) };
    return { status, findings: this.#findings.found };
  }

  /** What the control schema says once the target is at `head`; null: it is not, in the time that is given to it. */
  async #arrival(head: Position, deadline: number): Promise<ReplicaStatus | null> {
    for (const end = Math.min(deadline, performance.now() + arrivingMs); performance.now() < end;) {
      await sleep(lookAgainMs);
      const status = await this.#askTarget(async (db) => await readReplicaStatus(db), deadline);
      const applied = status?.checkpoint?.position;
      if (applied !== undefined && comparePositions(applied, head) >= 0) return status;
    }
    return null;
  }

  /** Remembers where the source was when, by itself and by what the service has seen. Another server's places mean nothing here. */
  #learn({ identity, clock, head }: SourceStatus, status: ReplicaStatus | null): void {
    const last = this.#history.samples.at(-1);
    const isReset = last !== undefined && comparePositions(head, last.head) < 0;
    if (this.#identity !== identity || isReset) this.#history.clear();
    this.#identity = identity;
    if (status?.detail?.identity === identity && !isReset)
      for (const [clock, file, offset] of status.detail.heads)
        this.#history.add({ clock, head: { file, offset, gtid: null } });
    this.#history.add({ clock, head });
    if (status?.checkpoint?.sourceIdentity === identity) this.#history.forgetBefore(status.checkpoint.position);
  }

  /** Files are asked for only where they are needed, since it costs the source more than the rest. */
  async #files(
    { head, identity }: SourceStatus,
    status: ReplicaStatus | null,
    deadline: number,
    told: (error: unknown) => null,
  ): Promise<BinlogFiles | null> {
    const checkpoint = status?.checkpoint ?? null;
    if (checkpoint === null || checkpoint.sourceIdentity !== identity || checkpoint.position.file === head.file)
      return null;
    const left = deadline - performance.now();
    return left <= 0 ? null : await this.#source.ask(async (probe) => await probe.files(head), left).catch(told);
  }
}

/** A service that works has the last of it in hand, or has just passed what is not its own. */
function isArriving({ secondsBehind }: LagReport, status: ReplicaStatus | null): boolean {
  return (
    secondsBehind !== null && secondsBehind > 0 && secondsBehind <= hardlySeconds && status?.service?.isFresh === true
  );
}

/** One measurement. */
export async function measureLag(config: Config): Promise<LagReport> {
  const meter = new LagMeter(config, 'tidegate lag');
  try {
    return (await meter.measure()).report;
  } finally {
    await meter.close();
  }
}
