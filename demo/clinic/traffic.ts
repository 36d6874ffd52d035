import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { SeededRandom } from '../../testing/random/seeded-random.ts';
import { ageBalances, purgeLog, raiseFees, recaseSetting, recomputeRecalls, renameSetting } from './chores.ts';
import * as deeds from './deeds.ts';
import { prepareClinicSession } from './fill.ts';

/** The relative frequency of each deed. */
const weights: readonly (readonly [deeds.Deed, number])[] = [
  [deeds.audit, 230],
  [deeds.complete, 160],
  [deeds.plan, 110],
  [deeds.call, 100],
  [deeds.book, 80],
  [deeds.move, 80],
  [deeds.pay, 70],
  [deeds.sendClaim, 40],
  [deeds.receiveClaim, 40],
  [deeds.correctNote, 30],
  [deeds.breakAppointment, 20],
  [deeds.newPatient, 12],
  [deeds.forgetCall, 10],
  [deeds.scan, 10],
  [deeds.changeHours, 10],
  [deeds.refund, 5],
  [deeds.changeMind, 5],
  [deeds.refurnish, 3],
  [renameSetting, 3],
  [recaseSetting, 3],
  [purgeLog, 2],
  [ageBalances, 2],
  [recomputeRecalls, 2],
  [raiseFees, 1],
];

export interface TrafficOptions {
  readonly seed: number;
  /** Deeds a second; most are one statement, some change thousands of rows. */
  readonly perSecond: number;
  readonly signal: AbortSignal;
  /** Called after each deed. */
  readonly onDeed?: () => void;
}

/**
 * Runs a day in the practice, sped up, on a connection to the clinic's database. When the signal aborts, it ends after the
 * current deed. Returns the number of deeds.
 */
export async function runTraffic(connection: Connection, options: TrafficOptions): Promise<number> {
  await prepareClinicSession(connection);
  const random = new SeededRandom(options.seed);
  const desk: deeds.Desk = { connection, random, highest: await readHighest(connection) };
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  const started = performance.now();
  let done = 0;
  while (!options.signal.aborted) {
    await pickDeed(random.int(1, total))(desk);
    done++;
    options.onDeed?.();
    const aheadMs = (done * 1000) / options.perSecond - (performance.now() - started);
    if (aheadMs > 1) await sleep(aheadMs, undefined, { signal: options.signal }).catch(endOfSleep);
  }
  return done;
}

/** An abort wakes the sleep at the end of a day; every other error of a sleep is thrown. */
function endOfSleep(error: unknown): void {
  if (!(error instanceof Error && error.name === 'AbortError')) throw error;
}

function pickDeed(drawn: number): deeds.Deed {
  let left = drawn;
  for (const [deed, weight] of weights) {
    left -= weight;
    if (left <= 0) return deed;
  }
  throw new RangeError('drawn beyond the weights');
}

async function readHighest(connection: Connection): Promise<deeds.Highest> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `select (select max(PatNum) from patient) as patient, (select max(AptNum) from appointment) as appointment,
       (select max(ProcNum) from procedurelog) as procedurelog, (select max(ClaimNum) from claim) as claim,
       (select max(PayNum) from payment) as payment, (select max(CommlogNum) from commlog) as commlog,
       (select max(SecurityLogNum) from securitylog) as securitylog`,
  );
  return { ...rows[0] } as deeds.Highest;
}
