import type { SeededRandom } from '../../../testing/random/seeded-random.ts';

/** Values that lengths, counts and offsets break at. */
const extremes = [0, 1, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff];

/** A copy with one to four damages: bits flipped, bytes replaced by extremes, bytes cut off, taken out, doubled or made up. */
export function damaged(whole: Buffer, random: SeededRandom, from = 0): Buffer {
  let bytes = Buffer.from(whole);
  for (let left = random.pick([1, 1, 1, 2, 4]); left > 0 && bytes.length > from; left--) {
    const at = random.int(from, bytes.length - 1);
    switch (random.int(0, 6)) {
      case 0:
      case 1:
        bytes[at] = (bytes[at] as number) ^ (1 << random.int(0, 7));
        break;
      case 2:
        bytes[at] = random.pick(extremes);
        break;
      case 3: {
        const width = random.pick([2, 3, 4, 8]);
        bytes.fill(random.pick([0, 0xff, 0x7f]), at, Math.min(bytes.length, at + width));
        break;
      }
      case 4:
        bytes = bytes.subarray(0, at);
        break;
      case 5: {
        const end = random.int(at, Math.min(bytes.length, at + 40));
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
        break;
      }
      default: {
        const end = random.int(at, Math.min(bytes.length, at + 40));
        const more = random.chance(0.5) ? bytes.subarray(at, end) : random.bytes(end - at);
        bytes = Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
      }
    }
  }
  return bytes;
}

/** A length-encoded integer. */
export function lengthEncoded(value: number): Buffer {
  if (value < 0xfb) return Buffer.of(value);
  const bytes = Buffer.alloc(9, 0xfe);
  bytes.writeBigUInt64LE(BigInt(value), 1);
  return bytes;
}
