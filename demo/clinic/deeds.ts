import type { Connection, ResultSetHeader } from 'mysql2/promise';
import type { SeededRandom } from '../../testing/random/seeded-random.ts';
import { clock, date, dateTime, money, name, note } from './words.ts';

/** The highest keys of the tables that the day's work refers to. */
export interface Highest {
  patient: number;
  appointment: number;
  procedurelog: number;
  claim: number;
  payment: number;
  commlog: number;
  securitylog: number;
}

export interface Desk {
  readonly connection: Connection;
  readonly random: SeededRandom;
  readonly highest: Highest;
}

/** One action of a person in the practice. */
export type Deed = (desk: Desk) => Promise<void>;

async function insert(desk: Desk, table: string, row: Readonly<Record<string, unknown>>): Promise<number> {
  const [result] = await desk.connection.query<ResultSetHeader>(`insert into ${table} set ?`, [row]);
  return result.insertId;
}

const some = (desk: Desk, table: keyof Highest): number => desk.random.int(1, desk.highest[table]);

export const newPatient: Deed = async (desk) => {
  const { random } = desk;
  const id = desk.highest.patient + 1;
  const row = { LName: name(random), FName: name(random), Guarantor: id, Birthdate: date(-random.int(900, 33_000)) };
  desk.highest.patient = await insert(desk, 'patient', { ...row, DateFirstVisit: date(0), PopupNote: note(random) });
};

export const book: Deed = async (desk) => {
  const { random } = desk;
  desk.highest.appointment = await insert(desk, 'appointment', {
    PatNum: some(desk, 'patient'),
    AptStatus: 1,
    Op: random.int(1, 8),
    ProvNum: random.int(1, 12),
    AptDateTime: dateTime(random.int(0, 60), random),
    Note: random.chance(0.3) ? note(random) : '',
  });
};

export const move: Deed = async (desk) => {
  const at = dateTime(desk.random.int(0, 60), desk.random);
  const where = [at, desk.random.int(1, 8), some(desk, 'appointment')];
  await desk.connection.query('update appointment set AptDateTime = ?, Op = ? where AptNum = ?', where);
};

/** A patient misses an appointment: it is marked as broken, followed by a call, and charged. */
export const breakAppointment: Deed = async (desk) => {
  const { connection, random } = desk;
  await connection.query('update appointment set AptStatus = 5 where AptNum = ?', [some(desk, 'appointment')]);
  const row = { PatNum: some(desk, 'patient'), AdjDate: date(0), AdjAmt: 35, AdjType: 7, AdjNote: note(random, 3) };
  await insert(desk, 'adjustment', row);
};

/** A planned procedure becomes a completed one in place. None of its dates changes, so a copy by timestamps would miss it. */
export const complete: Deed = async (desk) => {
  await desk.connection.query('update procedurelog set ProcStatus = 2, ProcFee = ? where ProcNum = ?', [
    money(desk.random, 1500),
    some(desk, 'procedurelog'),
  ]);
};

export const plan: Deed = async (desk) => {
  const { random } = desk;
  desk.highest.procedurelog = await insert(desk, 'procedurelog', {
    PatNum: some(desk, 'patient'),
    AptNum: some(desk, 'appointment'),
    ProcDate: date(0),
    ProcFee: money(random, 1500),
    ProcStatus: 1,
    CodeNum: random.int(1, 300),
    ProcTime: clock(10, random),
  });
  await insert(desk, 'procnote', {
    ProcNum: desk.highest.procedurelog,
    EntryDateTime: dateTime(0, random),
    UserNum: random.int(1, 20),
    Note: note(random, 20, true),
  });
};

/** One payment and its splits in one transaction, on the tables that support transactions. */
export const pay: Deed = async (desk) => {
  const { connection, random } = desk;
  const patient = some(desk, 'patient');
  const splits = Array.from({ length: random.int(1, 4) }, () => money(random, 200));
  await connection.beginTransaction();
  const PayAmt = splits.reduce((sum, split) => sum + split, 0);
  const row = { PatNum: patient, PayDate: date(0), PayAmt, PayNote: '', IsSplit: splits.length > 1 ? 1 : 0 };
  const payment = await insert(desk, 'payment', row);
  for (const SplitAmt of splits) {
    await insert(desk, 'paysplit', { SplitAmt, PatNum: patient, ProcDate: date(0), PayNum: payment });
  }
  await connection.commit();
  desk.highest.payment = payment;
};

export const refund: Deed = async (desk) => {
  const { connection } = desk;
  const payment = some(desk, 'payment');
  await connection.beginTransaction();
  await connection.query('delete from paysplit where PayNum = ?', [payment]);
  await connection.query('delete from payment where PayNum = ?', [payment]);
  await connection.commit();
};

export const sendClaim: Deed = async (desk) => {
  const { random } = desk;
  const patient = some(desk, 'patient');
  const row = {
    PatNum: patient,
    DateService: date(0),
    DateSent: date(0),
    ClaimStatus: 'S',
    PlanNum: random.int(1, 120),
  };
  desk.highest.claim = await insert(desk, 'claim', { ...row, ClaimFee: money(random) });
  const procs = Array.from({ length: random.int(1, 5) }, () => [
    some(desk, 'procedurelog'),
    desk.highest.claim,
    patient,
    money(random),
    -1,
  ]);
  await desk.connection.query('insert into claimproc (ProcNum, ClaimNum, PatNum, FeeBilled, WriteOff) values ?', [
    procs,
  ]);
};

export const receiveClaim: Deed = async (desk) => {
  const { connection, random } = desk;
  const claim = some(desk, 'claim');
  await connection.query("update claim set ClaimStatus = 'R', DateReceived = ?, InsPayAmt = ? where ClaimNum = ?", [
    date(0),
    money(random),
    claim,
  ]);
  await connection.query('update claimproc set Status = 1, InsPayAmt = FeeBilled * 0.8 where ClaimNum = ?', [claim]);
};

export const call: Deed = async (desk) => {
  const { random } = desk;
  desk.highest.commlog = await insert(desk, 'commlog', {
    PatNum: some(desk, 'patient'),
    CommDateTime: dateTime(0, random),
    CommType: random.int(1, 30),
    Note: note(random, random.int(3, 30), true),
  });
};

export const correctNote: Deed = async (desk) => {
  const correction = [note(desk.random, 8, true), some(desk, 'commlog')];
  await desk.connection.query('update commlog set Note = ? where CommlogNum = ?', correction);
};

export const forgetCall: Deed = async (desk) => {
  await desk.connection.query('delete from commlog where CommlogNum = ?', [some(desk, 'commlog')]);
};

export const audit: Deed = async (desk) => {
  const { random } = desk;
  desk.highest.securitylog = await insert(desk, 'securitylog', {
    PermType: random.int(0, 220),
    LogDateTime: dateTime(0, random),
    LogText: note(random),
    PatNum: some(desk, 'patient'),
  });
};

/** Payments that are started and rolled back: they are in no table, and not in the binlog. */
export const changeMind: Deed = async (desk) => {
  await desk.connection.beginTransaction();
  await insert(desk, 'payment', { PatNum: some(desk, 'patient'), PayAmt: money(desk.random), PayNote: '' });
  await desk.connection.rollback();
};

export const changeHours: Deed = async ({ connection, random }) => {
  const hours = random.pick([null, '-00:00:00.500', '-838:59:59.999', '838:59:59', '01:15:00', '00:00:00']);
  await connection.query('update schedule set AdjHours = ?, Note = ? where ScheduleNum = ?', [
    hours,
    note(random, 2),
    random.int(1, 1200),
  ]);
};

export const scan: Deed = async (desk) => {
  const { random } = desk;
  await insert(desk, 'document', {
    Description: note(random, 2),
    DateCreated: dateTime(0, random),
    PatNum: some(desk, 'patient'),
    Thumbnail: random.bytes(random.int(0, 4000)),
    DegreesRotated: random.next(),
  });
};

/** A room is set up again under its old number, as delete and insert in one statement. */
export const refurnish: Deed = async ({ connection, random }) => {
  await connection.query('replace into operatory (OperatoryNum, OpName, ItemOrder) values (?, ?, ?)', [
    random.int(1, 8),
    note(random, 2),
    random.int(0, 65_535),
  ]);
};
