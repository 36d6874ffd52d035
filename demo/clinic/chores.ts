import type { Deed } from './deeds.ts';
import { date } from './words.ts';

/** What the software does on its own: few statements that touch many rows. */

/** Every patient's next visit again, as one update of the whole table. */
export const recomputeRecalls: Deed = async ({ connection, random }) => {
  await connection.query('update recall set DateDueCalc = date_add(?, interval (RecallNum % 180) day), Priority = ?', [
    date(random.int(1, 30)),
    random.int(-1, 1),
  ]);
};

/** Balances by age: a scratch table emptied and filled, then joined into the patients. */
export const ageBalances: Deed = async ({ connection, random }) => {
  await connection.query('truncate table familybalance');
  await connection.query(
    `insert into familybalance (PatNum, Bal_0_30, BalOver90, BalTotal)
     select Guarantor, sum(EstBalance), 0.1 * count(*), sum(EstBalance) + 0.1 * count(*)
     from patient where Guarantor % 7 = ? group by Guarantor`,
    [random.int(0, 6)],
  );
  await connection.query(
    `update patient join familybalance using (PatNum)
     set patient.Bal_0_30 = familybalance.Bal_0_30, patient.BalOver90 = familybalance.BalOver90`,
  );
};

/** The oldest entries of the log go at once. */
export const purgeLog: Deed = async ({ connection, random }) => {
  await connection.query('delete from securitylog order by SecurityLogNum limit ?', [random.int(50, 300)]);
};

/** A setting gets another name, which is its key. */
export const renameSetting: Deed = async ({ connection, random }) => {
  await connection.query(
    `update ignore preference set PrefName = concat(substring_index(PrefName, '#', 1), '#', ?), ValueString = ?
     where PrefName like ? limit 3`,
    [random.int(1, 999), String(random.int(0, 9)), `%Setting${random.int(1, 20)}%`],
  );
};

/** Only the case of a key changes: the same setting to the source's collation, another key byte by byte. */
export const recaseSetting: Deed = async ({ connection, random }) => {
  await connection.query('update preference set PrefName = upper(PrefName) where PrefName like ? limit 2', [
    `%Setting${random.int(1, 20)}%`,
  ]);
};

export const raiseFees: Deed = async ({ connection, random }) => {
  await connection.query('update fee set Amount = round(Amount * 1.03, 2) where FeeSched = ?', [random.int(1, 5)]);
};
