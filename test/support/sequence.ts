const digits = Array.from({ length: 10 }, (_, digit) => `select ${digit} as d`).join(' union all ');

/** A relation of whole numbers `seq`, for any server: MariaDB has its own, MySQL 5.6 cannot even count by itself. */
export function sequence(first: number, last: number): string {
  const places = String(last - first).length;
  const tables = Array.from({ length: places }, (_, place) => `(${digits}) d${place}`).join(', ');
  const number = Array.from({ length: places }, (_, place) => `d${place}.d * ${10 ** place}`).join(' + ');
  return `(select ${first} + ${number} as seq from ${tables} where ${number} <= ${last - first}) numbers`;
}
