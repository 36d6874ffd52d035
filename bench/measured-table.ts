import type { Connection } from 'mysql2/promise';

/**
 * The table that all throughput benches use: fifteen columns of the usual kinds, about 150 bytes a row. Values depend on the key
 * alone, without NULLs, so that the plain client pipe it is compared with needs no NULL handling either.
 */
export function measuredTableDdl(name: string): string {
  return `create table ${name} (
    id bigint not null primary key,
    patient_id bigint not null,
    provider_id bigint not null,
    status int not null,
    note varchar(255) not null,
    fee decimal(12,2) not null,
    treated_on date not null,
    changed_at timestamp not null,
    tooth int not null,
    surface int not null,
    quantity int not null,
    factor double not null,
    is_active tinyint not null,
    code varchar(20) not null,
    memo text not null
  ) engine=InnoDB default character set utf8mb4`;
}

/** The same table at the target, as the mapping makes it, for what is loaded without Tidegate. */
export function measuredTargetDdl(name: string): string {
  return `create table ${name} (
    id bigint not null primary key,
    patient_id bigint,
    provider_id bigint,
    status integer,
    note text,
    fee numeric(12,2),
    treated_on date,
    changed_at timestamptz,
    tooth integer,
    surface integer,
    quantity integer,
    factor double precision,
    is_active smallint,
    code text,
    memo text
  )`;
}

export const measuredColumns =
  'id, patient_id, provider_id, status, note, fee, treated_on, changed_at, tooth, surface, quantity, factor, is_active, code, memo';

/** The select list that makes row number `seq`; `seq` comes from MariaDB's sequence engine. */
const measuredValues = `seq, seq % 20000, seq % 20, seq % 6, concat('a note about treatment number ', seq), (seq % 100000) / 100,
  date_add('2020-01-01', interval seq % 2000 day), timestampadd(second, seq % 100000, '2024-01-02 03:04:05'), seq % 32, seq % 5,
  seq + 2, seq / 8, seq % 2, concat('D', seq % 9999)`;
const measuredMemo = `concat('memo ', seq)`;

/** Inserts rows `first` to `last`, so many rows a transaction, made by the server itself. `memo`: an expression of `seq`. */
export async function insertMeasuredRows(
  connection: Connection,
  table: string,
  first: number,
  last: number,
  rowsPerTransaction: number,
  memo = measuredMemo,
): Promise<void> {
  for (let low = first; low <= last; low += rowsPerTransaction) {
    const high = Math.min(last, low + rowsPerTransaction - 1);
    await connection.query(
      `insert into ${table} (${measuredColumns}) select ${measuredValues}, ${memo} from seq_${low}_to_${high}`,
    );
  }
}

/** Updates `count` rows from key `first` on, each in a transaction of its own, in a loop inside the server. */
export async function updateMeasuredRowsSingly(
  connection: Connection,
  table: string,
  first: number,
  count: number,
): Promise<void> {
  await connection.query('drop procedure if exists update_singly');
  await connection.query(
    `create procedure update_singly(in first_id bigint, in last_id bigint)
     begin
       while first_id <= last_id do
         update ${table} set status = status + 1, memo = concat('changed ', first_id) where id = first_id;
         set first_id = first_id + 1;
       end while;
     end`,
  );
  await connection.query('call update_singly(?, ?)', [first, first + count - 1]);
  await connection.query('drop procedure update_singly');
}
