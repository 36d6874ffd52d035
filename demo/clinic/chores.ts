import type { Deed } from './deeds.ts';
import { date } from './words.ts';

/** The automatic tasks of the software: few statements that change many rows. */

/** Computes every patient's next visit again, in one update of the entire table. */
export const recomputeRecalls: Deed = async ({ connection, random }) => {
  await connection.query('update recall set DateDueCalc = date_add(?, interval (RecallNum % 180) day), Priority = ?', [
    date(random.int(1, 30)),
    random.int(-1, 1),
  ]);
};

/** Computes balances by age: truncates and fills a scratch table, then joins it into the patients. */
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

/** Deletes the oldest entries of the log at once. */
export const purgeLog: Deed = async ({ connection, random }) => {
  await connection.query('delete from securitylog order by SecurityLogNum limit ?', [random.int(50, 300)]);
};

/** Renames a setting; its name is its key. */
export const renameSetting: Deed = async ({ connection, random }) => {
  await connection.query(
    `update ignore preference set PrefName = concat(substring_index(PrefName, '#', 1), '#', ?), ValueString = ?
     where PrefName like ? limit 3`,
    [random.int(1, 999), String(random.int(0, 9)), `%Setting${random.int(1, 20)}%`],
  );
};

/** Changes only the case of a key: the same setting in the source's collation, another key byte by byte. */
export const recaseSetting: Deed = async ({ connection, random }) => {
  await connection.query('update preference set PrefName = upper(PrefName) where PrefName like ? limit 2', [
    `%Setting${random.int(1, 20)}%`,
  ]);
};

export const raiseFees: Deed = async ({ connection, random }) => {
  await connection.query('update fee set Amount = round(Amount * 1.03, 2) where FeeSched = ?', [random.int(1, 5)]);
};
