import { expect, it } from 'vitest';
import { mariadbTransactionsBehind, mysqlTransactionsBehind } from './gtid-distance.ts';

const a = '3e11fa47-71ca-11e1-9e33-c80aa9429562';
const b = '4e11fa47-71ca-11e1-9e33-c80aa9429562';

it('counts the transactions that one MySQL set has and another lacks, including holes, several servers and tags', () => {
  expect(mysqlTransactionsBehind(`${a}:1-10`, `${a}:1-10`)).toBe(0);
  expect(mysqlTransactionsBehind(`${a}:1-10`, `${a}:1-7`)).toBe(3);
  expect(mysqlTransactionsBehind(`${a}:1-10:20-21,\n${b}:1-5`, `${a}:1-3:5-9:20`)).toBe(2 + 1 + 5);
  expect(mysqlTransactionsBehind(`${a}:1-10:nightly:1-4`, `${a}:1-10:nightly:1`)).toBe(3);
  expect(mysqlTransactionsBehind(`${a}:1-10`, '')).toBe(10);
  expect(mysqlTransactionsBehind('', `${a}:1-10`)).toBe(0);
  expect(mysqlTransactionsBehind(`${a.toUpperCase()}:1-2`, `${a}:1-2`)).toBe(0);
});

it('counts the numbers of each MariaDB domain, whichever server assigned them', () => {
  expect(mariadbTransactionsBehind('0-1-100', '0-1-100')).toBe(0);
  expect(mariadbTransactionsBehind('0-1-100,0-2-130,5-1-7', '0-1-90,5-1-7')).toBe(40);
  expect(mariadbTransactionsBehind('0-1-100,7-1-3', '0-1-100')).toBe(3);
  expect(mariadbTransactionsBehind('0-1-100', '0-1-101')).toBe(0);
});
