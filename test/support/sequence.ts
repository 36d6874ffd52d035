const digits = Array.from({ length: 10 }, (_, digit) => `select ${digit} as d`).join(' union all ');

/**
 * A relation of integers `seq` for any server. Only MariaDB has a sequence engine, and MySQL 5.6 has no recursive queries either.
 */
export function sequence(first: number, last: number): string {
  const digitCount = String(last - first).length;
  const tables = Array.from({ length: digitCount }, (_, digit) => `(${digits}) d${digit}`).join(', ');
  const number = Array.from({ length: digitCount }, (_, digit) => `d${digit}.d * ${10 ** digit}`).join(' + ');
  return `(select ${first} + ${number} as seq from ${tables} where ${number} <= ${last - first}) numbers`;
}
