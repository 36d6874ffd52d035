import { expect, test } from 'vitest';
import { jsonCanonical } from './json-canonical.ts';

test.each([
  ['order and space', '{"b": [1, null], "a": true}', '{"a":true,"b":[1,null]}'],
  ['zeros and exponents', '[1.50, 1e3, -0.0, 100]', '[1.5, 1000, 0, 1e2]'],
  ['escapes', String.raw`"\u00e4\/\u0000"`, '"ä/\uFFFD"'],
  ['a member called __proto__', '{"__proto__": 1, "a": 2}', '{"a":2,"__proto__":1}'],
])('one value in two spellings: %s', (_name, left, right) => {
  expect(jsonCanonical(left)).toBe(jsonCanonical(right));
});

test.each([
  ['the 20th digit', '18446744073709551615', '18446744073709551614'],
  ['a digit no double holds', '0.10000000000000000000000000001', '0.1'],
  ['beyond a double', '1e400', '1e401'],
  ['the sign', '1', '-1'],
  ['a number and its text', '[1]', '["1"]'],
  ['null and its text', '[null]', '["null"]'],
  ['an empty object and an empty array', '{}', '[]'],
  ['the order of elements', '[1,2]', '[2,1]'],
  ['a member that is null', '{"a":null}', '{}'],
  ['a member called __proto__', '{"__proto__": 1}', '{}'],
  ['where brackets close', '[[1],2]', '[[1,2]]'],
])('two values: %s', (_name, left, right) => {
  expect(jsonCanonical(left)).not.toBe(jsonCanonical(right));
});
