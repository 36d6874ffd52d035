import { expect, test } from 'vitest';
import { readLengthEncoded } from '../../../src/mysql/wire/length-encoded.ts';

/** As the protocol's documentation has it: the first and the last of each form. */
const forms: readonly (readonly [readonly number[], number])[] = [
  [[0x00], 0],
  [[0xfa], 250],
  [[0xfc, 0xfb, 0x00], 251],
  [[0xfc, 0xff, 0xff], 65_535],
  [[0xfd, 0x00, 0x00, 0x01], 65_536],
  [[0xfd, 0xff, 0xff, 0xff], 16_777_215],
  [[0xfe, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00], 16_777_216],
  [[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0x00], Number.MAX_SAFE_INTEGER],
];

test.each(forms)('%j is read as %d, with the next field right behind it', (bytes, value) => {
  const others = [0xfe, 0xfd, 0xfc];
  const source = Buffer.from([...others, ...bytes, ...others]);
  expect(readLengthEncoded(source, others.length)).toEqual({ value, next: others.length + bytes.length });
});
