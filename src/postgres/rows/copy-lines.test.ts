import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LineBuffer } from '../../change/line-buffer.ts';
import { keysToColumns, linesToColumns } from './copy-lines.ts';

const value = fc.option(
  fc
    .oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('', String.raw`\N`, '\\', '\t\n\r', String.raw`\\x00`, 'é\u2028😀'),
    )
    .map((text) => text.replaceAll('\0', '')),
);

it('splits lines that LineBuffer wrote, for any text', () => {
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
      const columns = linesToColumns(out.bytes.subarray(0, out.length), 2);
      const utf8 = (field: string | null) => (field === null ? null : Buffer.from(field, 'utf8').toString('utf8'));
      expect(columns).toEqual([rows.map(([first]) => utf8(first)), rows.map(([, second]) => utf8(second))]);
    }),
  );
});

it('reads keys back from their bytes', () => {
  const key = Buffer.from(String.raw`zoë\\n` + '\t42', 'utf8').toString('latin1');
  expect(keysToColumns([key], 2)).toEqual([[String.raw`zoë\n`], ['42']]);
});
