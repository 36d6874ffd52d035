import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, ConnectionOptions } from 'mysql2/promise';
import { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { whileSourceConnected } from '../../support/while-connected.ts';
import { accounts, hotKeys, type KillTableSizes } from './tables.ts';

/** Deadlock victim or lock wait timeout: the writer tries another change, as an application would. */
const tryAgain: ReadonlySet<unknown> = new Set([1205, 1213]);

function isTryAgain(error: unknown): boolean {
  return error instanceof Error && 'errno' in error && tryAgain.has(error.errno);
}

/** Constantly writes all kinds of changes to the tables of a kill run until stopped. */
export class Writers {
  readonly #random: SeededRandom;
  readonly #sizes: KillTableSizes;
  readonly #stopping = new AbortController();
  #loops: Promise<void>[] = [];
  #failure: unknown;
  #transfer = 0;
  #transactions = 0;

  readonly #mixed: boolean;

  /** `mixed`: change InnoDB and MyISAM in one transaction, which MySQL refuses if it enforces GTIDs. */
  constructor(seed: number, sizes: KillTableSizes, mixed: boolean) {
    this.#random = new SeededRandom(seed);
    this.#sizes = sizes;
    this.#mixed = mixed;
  }

  /** The number of statement groups committed or rolled back so far. */
  get transactions(): number {
    return this.#transactions;
  }

  start(source: ConnectionOptions): void {
    this.#loops = [
      this.#loop(source, 'transfers', 40, transferMoney),
      this.#loop(source, 'hot', 40, (connection, random) => changeHotKeys(connection, random, this.#mixed)),
      this.#loop(source, 'hot too', 40, (connection, random) => changeHotKeys(connection, random, this.#mixed)),
      this.#loop(source, 'large', 80, (connection, random) => changeLargeTables(connection, random, this.#sizes)),
    ].map((loop) =>
      loop.catch((error: unknown) => {
        this.#failure ??= error;
      }),
    );
  }

  /** Stops after the current statements; throws the error of a failed writer. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#loops);
    if (this.#failure !== undefined) throw new Error('a writer failed', { cause: this.#failure });
  }

  async #loop(
    source: ConnectionOptions,
    name: string,
    pauseMs: number,
    write: (connection: Connection, random: SeededRandom, transfer: () => number) => Promise<void>,
  ): Promise<void> {
    const random = this.#random.fork(name);
    const { signal } = this.#stopping;
    await whileSourceConnected(source, signal, async (connection) => {
      await connection.query(`set session innodb_lock_wait_timeout = 2, time_zone = '+00:00'`);
      while (!signal.aborted) {
        try {
          await write(connection, random, () => ++this.#transfer);
        } catch (error) {
          if (!isTryAgain(error)) throw error;
          await connection.query('rollback');
        }
        this.#transactions += 1;
        await sleep(random.int(0, pauseMs));
      }
    });
  }
}

/**
 * Moves money from one account to another with two ledger rows that sum to 0, in one transaction. Some transactions are large,
 * some roll back to a savepoint, and some roll back entirely.
 */
async function transferMoney(connection: Connection, random: SeededRandom, nextTransfer: () => number): Promise<void> {
  await connection.query('start transaction');
  const legs = random.chance(0.05) ? random.int(20, 150) : random.int(1, 3);
  for (let leg = 0; leg < legs; leg++) {
    const from = random.int(1, accounts.count);
    const to = 1 + (from % accounts.count);
    const amount = random.int(1, 50);
    const transfer = nextTransfer();
    await connection.query('update account set balance = balance - ?, note = ? where id = ?', [
      amount,
      `out ${transfer}`,
      from,
    ]);
    await connection.query('update account set balance = balance + ?, note = ? where id = ?', [
      amount,
      `in ${transfer}`,
      to,
    ]);
    await connection.query('insert into ledger (transfer, account, amount) values (?, ?, ?), (?, ?, ?)', [
      transfer,
      from,
      -amount,
      transfer,
      to,
      amount,
    ]);
    if (random.chance(0.1)) {
      await connection.query('savepoint half');
      await connection.query('update account set balance = balance + 7 where id <= 5');
      await connection.query('insert into ledger (transfer, account, amount) values (0, 1, 35)');
      await connection.query('rollback to savepoint half');
    }
  }
  await connection.query(random.chance(0.08) ? 'rollback' : 'commit');
}

/** Upserts, deletes, reinserts and key changes on a few keys, in InnoDB, MyISAM, a case-insensitive text key, and without a key. */
async function changeHotKeys(connection: Connection, random: SeededRandom, mixed: boolean): Promise<void> {
  const table = random.pick(['hot', 'hot', 'hot_myisam'] as const);
  const key = random.int(1, hotKeys);
  switch (random.int(0, 9)) {
    case 0:
      await connection.query(`delete from ${table} where id = ?`, [key]);
      break;
    case 1:
      await connection.query(`replace into ${table} (id, hits, stamp, label) values (?, ?, now(6), 'replaced')`, [
        key,
        random.int(0, 9),
      ]);
      break;
    case 2:
      await connection.query(`update ignore ${table} set id = ?, label = 'moved' where id = ?`, [
        random.int(1, hotKeys),
        key,
      ]);
      break;
    case 3: {
      // Change the same key several times in one transaction, with a delete in between.
      await connection.query('start transaction');
      await connection.query('delete from hot where id = ?', [key]);
      await connection.query(`insert into hot (id, hits, stamp, label) values (?, 1, now(6), 'again')`, [key]);
      await connection.query('update hot set hits = hits + 1 where id = ?', [key]);
      if (mixed)
        await connection.query('update hot_myisam set hits = hits + 1 where id between ? and ?', [key, key + 3]);
      await connection.query('delete from hot where id = ? and hits > 1', [random.int(1, hotKeys)]);
      await connection.query('commit');
      break;
    }
    case 4: {
      const word = `Word${random.int(1, 20)}`;
      await connection.query('insert into word (word, uses) values (?, 1) on duplicate key update uses = uses + 1', [
        word,
      ]);
      break;
    }
    case 5: {
      const word = `Word${random.int(1, 20)}`;
      const spelled = random.pick([word.toUpperCase(), word.toLowerCase(), `${word}é`, word]);
      await connection.query('update ignore word set word = ?, uses = uses + 1 where word = ?', [spelled, word]);
      if (random.chance(0.2)) await connection.query('delete from word where word = ?', [word]);
      break;
    }
    case 6:
      await connection.query(
        random.pick([
          `insert into keyless (n, label) values (${key}, 'again'), (${key}, 'again')`,
          `update keyless set label = 'changed' where n = ${key}`,
          `delete from keyless where n = ${key}`,
        ]),
      );
      break;
    default:
      await connection.query(
        `insert into ${table} (id, hits, stamp, label) values (?, 1, now(6), 'new') on duplicate key update hits = hits + 1, stamp = now(6)`,
        [key],
      );
  }
}

/**
 * Changes single rows and ranges of the large tables anywhere in the key space, so that changes overtake the snapshot everywhere.
 */
async function changeLargeTables(connection: Connection, random: SeededRandom, sizes: KillTableSizes): Promise<void> {
  const wide = random.int(1, sizes.wide * 3);
  const plain = random.int(1, sizes.myisam);
  switch (random.int(0, 9)) {
    case 0:
      await connection.query(
        `insert ignore into wide (id, patient, note) values (?, 1, 'new'), (?, 2, 'new'), (?, 3, null)`,
        [wide, wide + 1, sizes.wide * 3 + random.int(1, 5_000)],
      );
      break;
    case 1:
      await connection.query('delete from wide where id between ? and ?', [wide, wide + random.int(0, 6)]);
      break;
    case 2:
      await connection.query('update ignore wide set id = ? where id = ?', [
        random.int(1, sizes.wide * 3),
        wide - (wide % 3),
      ]);
      break;
    case 3:
      await connection.query(
        `update wide set fee = fee + 1, note = concat(left(note, 30), '!') where id between ? and ?`,
        [wide, wide + random.int(1, 900)],
      );
      break;
    case 4:
      await connection.query('update plain set amount = amount * 3, flag = 1 - flag where id between ? and ?', [
        plain,
        plain + random.int(1, 300),
      ]);
      break;
    case 5:
      await connection.query('delete from plain where id between ? and ?', [plain, plain + random.int(0, 3)]);
      break;
    case 6:
      await connection.query(
        `insert into plain (flag, body, amount) values (1, 'added', 1), (0, null, 2), (1, '', null)`,
      );
      break;
    case 7:
      await connection.query(
        `update ignore composite set code = ?, quantity = quantity + 1 where branch = ? and quantity % 97 = ?`,
        [`m${random.int(1, 99_999)}`, random.int(-100, 99), random.int(0, 96)],
      );
      break;
    case 8:
      await connection.query('delete from composite where branch = ? limit 2', [random.int(-100, 99)]);
      break;
    default:
      await connection.query(
        `insert into composite (branch, code, quantity, tags) values (?, ?, 1, 'b') on duplicate key update quantity = 0`,
        [random.int(-100, 99), `n${random.int(1, 500)}`],
      );
  }
}
