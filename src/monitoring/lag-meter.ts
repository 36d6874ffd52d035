import { setTimeout as sleep } from 'node:timers/promises';
import { type Position, comparePositions } from '../change/position.ts';
import type { Config } from '../config/config.ts';
import type { Scope } from '../lifetime/scope.ts';
import { describeError } from '../errors/describe-error.ts';
import { type BinlogFiles, SourceProbe, type SourceStatus } from '../mysql/position/source-status.ts';
import { TargetSession } from '../postgres/session.ts';
import { HeadHistory } from './head-history.ts';
import { type Presence, readPresence } from '../postgres/control/presence.ts';
import { KeptConnection } from './kept-connection.ts';
import { type LagReport, describeLag } from './lag-report.ts';
import { type Findings, type ReplicaStatus, readFindings, readReplicaStatus } from '../postgres/control/status.ts';

/** `lag` answers within five seconds, whatever the servers do. */
const patienceMs = 4_000;
/** The source may use this share of the time; the target has the rest. */
const sourceShare = 0.75;
/** A program that started slowly on a busy machine waits less, but at least this long. */
const leastPatienceMs = 2_000;
/** How long findings are reused: they cost the target more than reading the checkpoint. */
const findingsMs = 5_000;
/**
 * Transactions of other databases at the source advance the checkpoint only twice a second. A service that is hardly behind gets this
 * time to pass the source's position.
 */
const arrivingMs = 700;
const hardlySeconds = 2;
const lookAgainMs = 50;

export interface Measured {
  /** The moment that the report describes. */
  readonly at: Date;
  readonly report: LagReport;
  /** Null: the target did not answer. */
  readonly status: ReplicaStatus | null;
  /** Null: the target did not answer, or not in time. */
  readonly findings: Findings | null;
  readonly isReachable: { readonly source: boolean; readonly target: boolean };
}

/** Measures how far the target is behind, once or repeatedly. In between it keeps its two connections and the history of heads. */
export class LagMeter<Session extends TargetSession = TargetSession> {
  readonly #source: KeptConnection<SourceProbe>;
  readonly #target: KeptConnection<Session>;
  readonly #isService: boolean;
  readonly #history = new HeadHistory();
  /** The server whose heads are in the history. */
  #identity: string | null = null;
  #findings: { readonly at: number; readonly found: Findings } | null = null;

  /** `openTarget` opens the session at the target. `isService`: the service itself measures. */
  constructor(config: Config, openTarget: (scope: Scope) => Promise<Session>, isService = false) {
    this.#isService = isService;
    this.#source = new KeptConnection('source', async (scope) => await SourceProbe.open(scope, config.source));
    this.#target = new KeptConnection('target', openTarget);
  }

  /** The server that answered last; null: none did yet. */
  get identity(): string | null {
    return this.#identity;
  }

  /** The history of heads, in the form of the status row. */
  get heads(): [clock: number, file: string, offset: number][] {
    return this.#history.samples.map(({ clock, head }) => [clock, head.file, head.offset]);
  }

  /**
   * Asks both databases. What one does not answer in time is null, and the problems name the reason. The source is asked first, so that
   * later commits do not count as lag.
   */
  async measure(patience = patienceMs): Promise<Measured> {
    const startedAt = performance.now();
    const deadline = startedAt + patience;
    const sourcePatience = sourceShare * patience;
    const problems: string[] = [];
    const addProblem = (error: unknown) => {
      problems.push(describeError(error).message);
      return null;
    };
    this.#target.begin();
    const asked = new Date();
    const source = await this.#source.ask(async (probe) => await probe.read(), sourcePatience).catch(addProblem);
    const status = await this.#askTarget(async ({ db }) => await readReplicaStatus(db), deadline).catch(addProblem);
    const findings = status === null ? null : await this.#readFindings(deadline).catch(addProblem);
    const presence = status === null ? null : await this.#presence(status, deadline).catch(addProblem);
    if (source !== null) this.#learn(source, status);
    const files = source === null ? null : await this.#files(source, status, startedAt + sourcePatience, addProblem);
    const answers = { source, files, findings, presence, history: this.#history, problems };
    const report = describeLag({ ...answers, status });
    const rest = { status, findings, isReachable: { source: source !== null, target: status !== null } };
    if (source === null || status === null || !isArriving(report, status)) return { at: asked, report, ...rest };
    const arrived = await this.#arrival(source.head, deadline).catch(addProblem);
    if (arrived === null) return { at: asked, report, ...rest };
    return { ...rest, at: new Date(), status: arrived, report: describeLag({ ...answers, status: arrived }) };
  }

  /** The first measurement of a program that runs only for it. The time since the start of the process counts. */
  async measureAtStart(): Promise<Measured> {
    return await this.measure(Math.max(leastPatienceMs, patienceMs - performance.now()));
  }

  /** Makes the next measurement read the findings again. */
  forgetFindings(): void {
    this.#findings = null;
  }

  /** Runs `work` at the target, on the same connection. */
  async atTarget<T>(work: (session: Session) => Promise<T>, patience = patienceMs): Promise<T> {
    return await this.#askTarget(work, performance.now() + patience);
  }

  /** Gives up on the present measurement: what it waits for fails. */
  hangUp(): void {
    this.#source.hangUp();
    this.#target.hangUp();
  }

  async close(): Promise<void> {
    await Promise.all([this.#source.close(), this.#target.close()]);
  }

  async #askTarget<T>(work: (session: Session) => Promise<T>, deadline: number): Promise<T> {
    return await this.#target.ask(work, Math.max(1, deadline - performance.now()));
  }

  async #readFindings(deadline: number): Promise<Findings> {
    if (this.#findings === null || performance.now() - this.#findings.at > findingsMs)
      this.#findings = {
        at: performance.now(),
        found: await this.#askTarget(async ({ db }) => await readFindings(db), deadline),
      };
    return this.#findings.found;
  }

  /** Whether a service runs that has not reported. A service knows that of itself. */
  async #presence({ service }: ReplicaStatus, deadline: number): Promise<Presence | null> {
    return this.#isService || service?.isFresh === true ? null : await this.#askTarget(readPresence, deadline);
  }

  /** The status once the target has reached `head`; null: it did not reach it in time. */
  async #arrival(head: Position, deadline: number): Promise<ReplicaStatus | null> {
    for (const end = Math.min(deadline, performance.now() + arrivingMs); performance.now() < end;) {
      await sleep(lookAgainMs);
      const status = await this.#askTarget(async ({ db }) => await readReplicaStatus(db), deadline);
      const applied = status.checkpoint?.position;
      if (applied !== undefined && comparePositions(applied, head) >= 0) return status;
    }
    return null;
  }

  /** Adds the source's head to the history, and the heads that the service recorded. Positions of another server are dropped. */
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

  /** Asks for the files only where they are needed, because that costs the source more than the other queries. */
  async #files(
    { head, identity }: SourceStatus,
    status: ReplicaStatus | null,
    deadline: number,
    addProblem: (error: unknown) => null,
  ): Promise<BinlogFiles | null> {
    const checkpoint = status?.checkpoint ?? null;
    if (checkpoint === null || checkpoint.sourceIdentity !== identity || checkpoint.position.file === head.file)
      return null;
    const left = deadline - performance.now();
    return left <= 0 ? null : await this.#source.ask(async (probe) => await probe.files(head), left).catch(addProblem);
  }
}

/** A running service is about to apply the last transactions, or to pass those of other databases. */
function isArriving({ secondsBehind }: LagReport, { service }: ReplicaStatus): boolean {
  return secondsBehind !== null && secondsBehind > 0 && secondsBehind <= hardlySeconds && service?.isFresh === true;
}

/** One measurement. */
export async function measureLag(config: Config): Promise<LagReport> {
  const meter = new LagMeter(config, async (scope) => await TargetSession.open(scope, config.target, 'tidegate lag'));
  try {
    return (await meter.measure()).report;
  } finally {
    await meter.close();
  }
}
