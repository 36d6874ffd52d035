import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig } from 'pg';
import { whileTargetConnected } from '../../support/while-connected.ts';
import { accounts } from './tables.ts';

/** A state that a reader saw and that no commit of the source ever produced. */
export interface Violation {
  readonly at: string;
  readonly what: string;
}

interface Totals {
  balance: string | null;
  ledger: string | null;
  entries: string;
  ahead: boolean;
  halves: string;
  unbalanced: string;
}

/**
 * A reader of the target that adds up the money again and again. These hold in every committed state of the source: the balances
 * sum to the opening total, the ledger sums to 0, each transfer has both its entries, each account matches its entries, and the
 * ledger only grows. Start the reader once the replica streams: from then on the target must satisfy them at any time, including
 * after kills. A target that was killed may lose its last commits, so the ledger may then be shorter.
 */
export class InvariantReader {
  readonly #stopping = new AbortController();
  readonly #violations: Violation[] = [];
  readonly #target: ClientConfig;
  readonly #schema: string;
  #polls = 0;
  #running: Promise<void> | undefined;
  #failure: unknown;

  constructor(target: ClientConfig, schema: string) {
    this.#target = target;
    this.#schema = schema;
  }

  get polls(): number {
    return this.#polls;
  }

  get violations(): readonly Violation[] {
    return this.#violations;
  }

  get started(): boolean {
    return this.#running !== undefined;
  }

  start(): void {
    this.#running ??= this.#read().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    if (this.#failure !== undefined) throw new Error('the reader of the target failed', { cause: this.#failure });
  }

  async #read(): Promise<void> {
    await whileTargetConnected(this.#target, this.#stopping.signal, async (client) => {
      let entriesBefore = 0;
      while (!this.#stopping.signal.aborted) {
        const { rows } = await client.query<Totals>(
          `select (select sum(balance) from "${this.#schema}".account)::text as balance,
                  (select count(*)
                     from "${this.#schema}".account a
                     left join (select account, sum(amount) as moved from "${this.#schema}".ledger group by account) l on l.account = a.id
                    where a.balance <> ${accounts.openingBalance} + coalesce(l.moved, 0))::text as unbalanced,
                  (select count(*)
                     from (select transfer from "${this.#schema}".ledger group by transfer having count(*) <> 2) as odd)::text as halves,
                  (select bool_or(t.state = 'snapshotting' or (t.until_file, t.until_offset) > (c.file, c."offset"))
                     from "tidegate_${this.#schema}".tables t, "tidegate_${this.#schema}".checkpoint c) as ahead,
                  sum(amount)::text as ledger, count(*)::text as entries
             from "${this.#schema}".ledger`,
        );
        const totals = rows[0];
        if (totals === undefined) throw new Error('the totals came back empty');
        // A target that lost its last commits may be back within the first copy.
        if (totals.ahead) continue;
        this.#polls += 1;
        if (Number(totals.balance) !== accounts.count * accounts.openingBalance)
          this.#note(`balances sum to ${totals.balance}`);
        if (Number(totals.ledger ?? 0) !== 0) this.#note(`the ledger sums to ${totals.ledger}`);
        if (Number(totals.halves) !== 0) this.#note(`${totals.halves} transfers lack an entry`);
        if (Number(totals.unbalanced) !== 0) this.#note(`${totals.unbalanced} accounts do not match their ledger`);
        if (Number(totals.entries) < entriesBefore)
          this.#note(`the ledger shrank from ${entriesBefore} to ${totals.entries}`);
        entriesBefore = Number(totals.entries);
        await sleep(50);
      }
    });
  }

  #note(what: string): void {
    this.#violations.push({ at: new Date().toISOString(), what });
  }
}
