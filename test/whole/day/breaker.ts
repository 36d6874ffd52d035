import mysql, { type Connection, type RowDataPacket } from 'mysql2/promise';
import type { Replica } from '../../../testing/replica.ts';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import type { Proxy } from '../../support/proxy.ts';

interface Proxies {
  readonly source: Proxy;
  readonly target: Proxy;
}

/** Breaks connections of one service, in all ways in which connections break. */
export class Breaker implements AsyncDisposable {
  /** Connections broken, by the way. */
  readonly broken: Record<string, number> = {};
  readonly #replica: Replica;
  readonly #proxies: Proxies;
  readonly #admin: Connection;
  readonly #random: SeededRandom;

  private constructor(replica: Replica, proxies: Proxies, admin: Connection, random: SeededRandom) {
    this.#replica = replica;
    this.#proxies = proxies;
    this.#admin = admin;
    this.#random = random;
  }

  static async start(replica: Replica, proxies: Proxies, random: SeededRandom): Promise<Breaker> {
    return new Breaker(replica, proxies, await mysql.createConnection(replica.sourceAdminOptions), random);
  }

  /** Connections broken so far. */
  get count(): number {
    return Object.values(this.broken).reduce((sum, count) => sum + count, 0);
  }

  /** Breaks one connection, those at one server, or all of them. */
  async breakSome(): Promise<void> {
    const random = this.#random;
    const side = random.pick(['source', 'target'] as const);
    const how = random.pick(['end', 'reset'] as const);
    const all = random.chance(0.3);
    switch (random.int(0, 4)) {
      case 0:
        for (const proxy of Object.values(this.#proxies)) this.#add(`${how}, both servers`, proxy.cut({ how }));
        break;
      case 1:
      case 2:
        this.#add(`${how}, ${side}`, this.#cut(this.#proxies[side], how, all));
        break;
      default:
        this.#add(`killed by the ${side}`, side === 'source' ? await this.#killAtSource(all) : await this.#end(all));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.end();
  }

  #cut(proxy: Proxy, how: 'end' | 'reset', all: boolean): number {
    const chosen = this.#random.int(0, Math.max(0, proxy.open - 1));
    return proxy.cut({ how, ...(all ? {} : { only: chosen }) });
  }

  async #killAtSource(all: boolean): Promise<number> {
    const { env } = this.#replica;
    const [rows] = await this.#admin.query<RowDataPacket[]>(
      'select id from information_schema.processlist where user in (?, ?)',
      [env['SOURCE_DB_READONLY_USER'], env['SOURCE_DB_REPLICATION_USER']],
    );
    const ids = rows.map(({ id }) => Number(id));
    let killed = 0;
    for (const id of all || ids.length === 0 ? ids : [this.#random.pick(ids)])
      await this.#admin.query(`kill ${id}`).then(
        () => killed++,
        (error: unknown) => {
          // 1094 (unknown thread): the session ended before the kill.
          if ((error as { errno?: unknown }).errno !== 1094) throw error;
        },
      );
    return killed;
  }

  async #end(all: boolean): Promise<number> {
    const { rowCount } = await this.#replica.targetAdmin.query(
      `select pg_terminate_backend(pid) from (
         select pid from pg_stat_activity where usename = $1 order by md5(pid::text || $2) limit $3) as chosen`,
      [this.#replica.env['TARGET_DB_USER'], this.#random.next(), all ? 1_000 : 1],
    );
    return rowCount ?? 0;
  }

  #add(way: string, count: number): void {
    this.broken[way] = (this.broken[way] ?? 0) + count;
  }
}
