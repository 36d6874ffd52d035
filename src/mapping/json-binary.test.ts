import { describe, expect, it } from 'vitest';
import { LineBuffer } from '../change/line-buffer.ts';
import { Conversions } from './codec.ts';
import { writeBinaryJson } from './json-binary.ts';

const smallArray = 2;
const int16 = 5;
const string = 12;

function text(document: Buffer): string {
  const out = new LineBuffer();
  writeBinaryJson(document, out, new Conversions());
  return out.bytes.toString('utf8', 0, out.length);
}

/** A small array whose entries are a type and an offset from the start of the array, which is at byte 1. */
function array(entries: readonly (readonly [type: number, offset: number])[], rest: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(5 + entries.length * 3);
  head[0] = smallArray;
  head.writeUInt16LE(entries.length, 1);
  head.writeUInt16LE(head.length + rest.length - 1, 3);
  for (const [i, [type, offset]] of entries.entries()) {
    head[5 + i * 3] = type;
    head.writeUInt16LE(offset, 6 + i * 3);
  }
  return Buffer.concat([head, rest]);
}

describe('a document of binary JSON', () => {
  it('has one value for each of its bytes', () => {
    const words = Buffer.concat([Buffer.of(2), Buffer.from('ab'), Buffer.of(3), Buffer.from('c"\0')]);
    expect(
      text(
        array(
          [
            [int16, 65_535],
            [string, 13],
            [string, 16],
          ],
          words,
        ),
      ),
    ).toBe(String.raw`[-1,"ab","c\\"\\ufffd"]`);
  });

  it('is damaged if it names a value twice, or itself: its text could be without end', () => {
    const long = Buffer.concat([Buffer.of(100), Buffer.alloc(100, 'x')]);
    expect(() =>
      text(
        array(
          [
            [string, 10],
            [string, 10],
          ],
          long,
        ),
      ),
    ).toThrow(RangeError);
    // 771 bytes, whose text would have 255 to the power of 255 values.
    expect(() => text(array(Array.from({ length: 255 }, () => [smallArray, 0] as const)))).toThrow(RangeError);
    expect(() => text(array([[smallArray, 0]], Buffer.alloc(60_000)))).toThrow(RangeError);
  });

  it('keeps its characters whole, however long a string is', () => {
    const characters = 'é€😀x'.repeat(30_000);
    const bytes = Buffer.from(characters);
    const length = Buffer.of((bytes.length & 0x7f) | 0x80, ((bytes.length >> 7) & 0x7f) | 0x80, bytes.length >> 14);
    expect(text(Buffer.concat([Buffer.of(string), length, bytes]))).toBe(`"${characters}"`);
  });
});
