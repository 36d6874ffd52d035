import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LineBuffer } from '../../change/line-buffer.ts';
import { eachLine } from './line-check.ts';
import { TextArrays } from './text-arrays.ts';

const value = fc.option(
  fc
    .oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.constantFrom('', String.raw`\N`, '\\', '\t\n\r', String.raw`\\x00`, 'é\u2028😀'),
    )
    .map((text) => Buffer.from(text.replaceAll('\0', ''), 'utf8').toString('utf8')),
);

/** The elements of a binary text[], as PostgreSQL reads them. */
function elementsOf(array: Buffer): (string | null)[] {
  const found: (string | null)[] = [];
  const [dimensions, hasNull, type, count, first] = [0, 4, 8, 12, 16].map((at) => array.readInt32BE(at));
  for (let at = 20; at < array.length;) {
    const length = array.readInt32BE(at);
    at += 4;
    found.push(length < 0 ? null : array.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  expect({ dimensions, type, count, first }).toEqual({ dimensions: 1, type: 25, count: found.length, first: 1 });
  expect(hasNull).toBe(found.includes(null) ? 1 : 0);
  return found;
}

it('holds the columns of lines that LineBuffer wrote, for any text', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 20 }), (rows) => {
      const out = new LineBuffer(16);
      for (const row of rows) {
        for (const [index, field] of row.entries()) {
          if (index > 0) out.tab();
          if (field === null) out.null();
          else out.text(Buffer.from(field, 'utf8'), 0, Buffer.byteLength(field));
        }
        out.newline();
      }
      const arrays = new TextArrays(2);
      for (const line of eachLine(out.bytes.subarray(0, out.length))) arrays.add(line, 0, line.length - 1);
      expect(arrays.rows).toBe(rows.length);
      const columns = arrays.values().map(elementsOf);
      expect(columns).toEqual([rows.map(([first]) => first), rows.map(([, second]) => second)]);
    }),
  );
});
