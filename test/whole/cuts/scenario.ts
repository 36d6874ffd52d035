import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from 'mysql2/promise';
import { requestAndFollow } from '../../../src/commands/request-jobs.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { compareDatabases, isEqual } from '../../../testing/compare/compare.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { type RunLine, RunProcess } from '../../../testing/run-process.ts';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';
import { runCli } from '../../support/cli.ts';
import { type PacketFault, type PlannedFault, Proxy } from '../../support/proxy.ts';
import { Shapes, type Side } from './shape.ts';

/**
 * What a service does, in this order. `begin`: the control schema and the lease. `prepare`: the tables. `return`: the tables after a resync,
 * until each follows the source again. Each has to come right before the next one begins.
 */
export const phases = ['check', 'begin', 'prepare', 'copy', 'stream', 'jobs', 'stop', 'resync', 'return'] as const;
export type Phase = (typeof phases)[number];

/** One place at which a connection is broken: the first packet of this shape in this phase. */
export interface Step {
  readonly side: Side;
  readonly phase: Phase;
  readonly shape: string;
}

/**
 * `cut`: the server gets the packet and its answer is lost. `reset`: the packet is lost. `freeze`: nothing passes any more. `delay`: some
 * seconds pass, or so many that the service has given up.
 */
export const faultKinds = {
  cut: ['lose-answer'],
  reset: ['reset'],
  freeze: ['freeze'],
  delay: ['delay', 'late'],
} as const satisfies Record<string, readonly PacketFault[]>;
export type FaultKind = keyof typeof faultKinds;

export interface Fault {
  readonly kind: PacketFault;
  readonly step: Step;
}

export interface Outcome {
  /** Every step that the run came by. */
  readonly steps: readonly Step[];
  /** The faults whose step the run came by. */
  readonly met: readonly Fault[];
  /** What was not as it must be; empty: it came right by itself. */
  readonly wrong: readonly string[];
}

export interface Servers {
  readonly source: SourceServer;
  readonly target: TargetServer;
}

/** The service has to be right again by itself after so long, on a machine that does much else, and to end so soon. */
const patienceMs = 180_000;
const stopMs = 15_000;
/** How long a phase lasts at least, until its fault is met: much is sent once a second. */
const stayMs = 3_000;
const pollMs = 150;
/** Sessions that check or ask before the service begins. */
const checking = ['tidegate check', 'tidegate watch', 'unnamed'];

/** Plays a service from its start to its end, with at most one fault in each phase. */
export async function play(servers: Servers, faults: readonly Fault[]): Promise<Outcome> {
  const replica = await createReplica(servers.source, servers.target);
  await using source = await Proxy.start(servers.source);
  await using target = await Proxy.start(servers.target);
  const scene = new Scene(servers.source, replica, { source, target }, faults);
  try {
    await scene.play();
  } catch (error) {
    scene.wrong.push(error instanceof Error ? error.message : String(error));
  } finally {
    await scene.end();
    await replica.drop();
  }
  return { steps: scene.steps, met: scene.met, wrong: scene.wrong };
}

class Scene {
  readonly wrong: string[] = [];
  readonly #source: SourceServer;
  readonly #replica: Replica;
  readonly #proxies: Readonly<Record<Side, Proxy>>;
  readonly #faults: readonly Fault[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #steps = new Map<string, Step>();
  readonly #planned: { readonly fault: Fault; readonly planned: PlannedFault }[] = [];
  /** The shape of the last packet. */
  readonly #shapes: Record<Side, string> = { source: '', target: '' };
  /** Null: nothing is planned or noted here. */
  #phase: Phase | null = null;
  #reached: Phase = 'check';
  #admin: Connection | undefined;
  #run: RunProcess | undefined;
  #round = 0;

  constructor(
    source: SourceServer,
    replica: Replica,
    proxies: Readonly<Record<Side, Proxy>>,
    faults: readonly Fault[],
  ) {
    this.#source = source;
    this.#replica = replica;
    this.#proxies = proxies;
    this.#faults = faults;
    this.#env = {
      ...replica.env,
      ...{ SOURCE_DB_HOST: proxies.source.host, SOURCE_DB_PORT: String(proxies.source.port) },
      ...{ TARGET_DB_HOST: proxies.target.host, TARGET_DB_PORT: String(proxies.target.port) },
      TABLES_REFRESH: 'keyless',
      // Other plays keep the same servers busy.
      SOURCE_BUSY_AT: '1000',
    };
    for (const side of ['source', 'target'] as const) this.#watch(side);
  }

  get steps(): readonly Step[] {
    return [...this.#steps.values()];
  }

  get met(): readonly Fault[] {
    return this.#planned.filter(({ planned }) => planned.isMet).map(({ fault }) => fault);
  }

  async play(): Promise<void> {
    const admin = await this.#replica.sourceAdmin();
    this.#admin = admin;
    await fill(admin);
    this.#enter('check');
    const run = this.#start();
    run.onLine(({ msg, ['state']: state }) => {
      if (state === 'checking') this.#advance('prepare');
      if (msg === 'snapshot started') this.#advance('copy');
    });
    await this.#until('it streams', () => run.find('streaming') !== undefined);
    await this.#settled();
    if (this.#isIn('stream')) {
      this.#enter('stream');
      await this.#change();
      await this.#stayed();
      await this.#settled();
    }
    if (this.#isIn('jobs')) {
      this.#enter('jobs');
      await admin.query(`insert into keyless values (100, 'row 100')`);
      // By another way than the service, so that only the service meets the fault.
      const options = { repair: true, condition: null, yes: true, detach: true } as const;
      const config = loadConfig(this.#replica.env);
      await requestAndFollow(config, ['patient', 'visit', 'keyless'], { kind: 'backfill', ...options });
      await requestAndFollow(config, ['code'], { kind: 'verify', ...options });
      await this.#change();
      await this.#stayed();
      await this.#settled();
    }
    await this.#stop('stop');
    if (!this.#isIn('resync')) return;
    await this.#change();
    this.#enter('resync');
    const { code, stderr } = await runCli(['resync', '--detach'], this.#env);
    if (code !== 0) throw new Error(`resync ended with ${code}: ${stderr}`);
    // Its checks and its beginning are as before.
    this.#leave();
    this.#start().onLine(({ ['state']: state }) => {
      if (state === 'checking') this.#advance('return');
    });
    await this.#settled();
    await this.#stop('return');
  }

  async end(): Promise<void> {
    await this.#run?.kill();
    this.#admin?.destroy();
  }

  /** Whether a phase is played: a fault is planned for it or for a later one. Without faults all of them are. */
  #isIn(phase: Phase): boolean {
    const at = phases.indexOf(phase);
    return this.#faults.length === 0 || this.#faults.some(({ step }) => phases.indexOf(step.phase) >= at);
  }

  #watch(side: Side): void {
    const { database } = this.#replica;
    const tag = database.slice(database.indexOf('_') + 1);
    const connections = new Map<number, Shapes>();
    this.#proxies[side].onPacket = (packet, connection) => {
      const shapes = connections.get(connection) ?? new Shapes(side, tag);
      connections.set(connection, shapes);
      this.#shapes[side] = shapes.of(packet);
      if (side === 'target' && this.#phase === 'check' && !checking.includes(shapes.name)) this.#advance('begin');
      if (this.#phase === null) return;
      const seen: Step = { side, phase: this.#phase, shape: this.#shapes[side] };
      this.#steps.set(JSON.stringify(seen), seen);
    };
  }

  #enter(phase: Phase): void {
    this.#phase = this.#reached = phase;
    for (const fault of this.#faults)
      if (fault.step.phase === phase) {
        const { side, shape } = fault.step;
        // The proxy shows each packet before it asks.
        const planned = this.#proxies[side].faultAtPacket(fault.kind, 1, () => this.#shapes[side] === shape);
        this.#planned.push({ fault, planned });
      }
  }

  #leave(): void {
    this.#phase = null;
  }

  /** Enters a phase of the start, unless a later one is reached: after a failure the service begins again. */
  #advance(phase: Phase): void {
    if (phases.indexOf(phase) > phases.indexOf(this.#reached)) this.#enter(phase);
  }

  #start(): RunProcess {
    this.#run = new RunProcess(this.#env);
    return this.#run;
  }

  /** Stays in the phase until its fault is met. */
  async #stayed(): Promise<void> {
    const enteredAt = Date.now();
    const isMet = () => this.#planned.some(({ fault, planned }) => fault.step.phase === this.#phase && planned.isMet);
    await this.#until('the phase is over', () => isMet() || Date.now() - enteredAt > stayMs);
  }

  /** The faults are over, and everything is as if there had been none. */
  async #settled(): Promise<void> {
    await this.#until('what waits at the broken connection gives up', () =>
      this.#planned.every(({ planned }) => !planned.isMet || planned.isOver),
    );
    const { targetAdmin } = this.#replica;
    const [since] = (await targetAdmin.query<{ now: Date }>('select clock_timestamp() as now')).rows;
    await this.#change();
    await this.#until(`round ${this.#round} is at the target`, async () => {
      const { rowCount } = await targetAdmin.query(`select from raw.round where id = ${this.#round}`);
      return rowCount === 1;
    });
    await this.#until('every table follows the source', async () => {
      const { rowCount } = await targetAdmin.query(
        `select from tidegate_raw.tables where state not in ('streaming', 'full-refresh')`,
      );
      return rowCount === 0;
    });
    await this.#until('the jobs are done', async () => {
      const { rowCount } = await targetAdmin.query(
        `select from tidegate_raw.jobs where state in ('waiting', 'running')`,
      );
      return rowCount === 0;
    });
    await this.#until('it says of both servers that it streams', async () => {
      const { rowCount } = await targetAdmin.query(
        `select from tidegate_raw.status where state = 'streaming' and updated_at > $1
            and (detail #>> '{heads,-1,0}')::float8 > extract(epoch from $1::timestamptz)`,
        [since?.now],
      );
      return rowCount === 1;
    });
    const failed = await targetAdmin.query(`select table_name, reason from tidegate_raw.jobs where state = 'failed'`);
    if (failed.rowCount !== 0) throw new Error(`a job failed: ${JSON.stringify(failed.rows)}`);
    // A table without a key is equal after its next full refresh.
    let found: readonly string[] = [];
    await this.#until(
      () => `both are equal; ${found.join('; ')}`,
      async () => (found = await differences(this.#source, this.#replica)).length === 0,
    );
  }

  async #stop(phase: Phase): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    if (phase !== this.#reached) this.#enter(phase);
    run.signal('SIGTERM');
    const end = await Promise.race([run.exited, sleep(stopMs, null, { ref: false })]);
    if (end === null) throw new Error(`it did not end within ${stopMs / 1000} s:\n${run.tail()}`);
    if (end.code !== 0) throw new Error(`it ended with ${end.code ?? end.signal}:\n${run.tail()}`);
    if (run.lines.some(isInternal)) throw new Error(`an internal error:\n${run.tail(100)}`);
  }

  async #change(): Promise<void> {
    const round = ++this.#round;
    for (const statement of [
      `update patient set note = concat(note, ' ${round}') where id % 3 = ${round % 3}`,
      `delete from visit where id = ${round}`,
      `insert into visit values (${100 + round}, 'round ${round}')`,
      `update code set note = 'round ${round}' where id < ${round * 10}`,
      `insert into round values (${round}, '')`,
    ])
      await this.#admin?.query(statement);
  }

  /** Waits, but no phase lasts longer than the patience there is. */
  async #until(what: string | (() => string), holds: () => boolean | Promise<boolean>): Promise<void> {
    const run = this.#run;
    const waited = () => `in ${this.#reached}, until ${typeof what === 'string' ? what : what()}\n${run?.tail()}`;
    let phase = this.#reached;
    for (let since = Date.now(); !(await holds()); await sleep(pollMs)) {
      if (phase !== this.#reached) since = Date.now();
      phase = this.#reached;
      if (run?.running === false) throw new Error(`it has ended; waited ${waited()}`);
      if (Date.now() - since > patienceMs) throw new Error(`waited for ${patienceMs / 1000} s ${waited()}`);
    }
  }
}

function isInternal({ ['err']: error }: RunLine): boolean {
  return typeof error === 'object' && error !== null && 'kind' in error && error.kind === 'internal';
}

/** Of each kind of table: with a number as key, with MyISAM, with a text key, without a key. Their columns have the same names. */
async function fill(admin: Connection): Promise<void> {
  await admin.query('create table patient (id int not null primary key, note varchar(400)) engine=InnoDB');
  await admin.query('create table visit (id int not null primary key, note text) engine=MyISAM');
  await admin.query('create table code (id varchar(20) not null primary key, note varchar(40)) engine=InnoDB');
  await admin.query('create table keyless (id int, note varchar(40)) engine=InnoDB');
  await admin.query('create table round (id int not null primary key, note varchar(40)) engine=InnoDB');
  const ids = Array.from({ length: 40 }, (_, n) => n + 1);
  for (const table of ['patient', 'visit', 'code', 'keyless'])
    await admin.query(`insert into ${table} values ${ids.map((id) => `('${id}', 'row ${id}')`).join(', ')}`);
}

async function differences(source: SourceServer, replica: Replica): Promise<string[]> {
  const compared = await compareDatabases({
    source: { host: source.host, port: source.port, user: source.user, password: source.password },
    database: replica.database,
    target: replica.targetAdminOptions,
    schema: replica.schema,
  });
  return compared.filter((table) => !isEqual(table)).map(({ table, examples }) => `${table}: ${examples.join('; ')}`);
}
