import { LineBuffer } from '../../../src/change/line-buffer.ts';
import { Conversions } from '../../../src/mapping/codec.ts';
import { json } from '../../../src/mapping/json.ts';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { damaged } from './bytes.ts';

const column = {
  ...{ name: 'j', type: 'json', fullType: 'json', nullable: true, charset: null },
  ...{ length: null, precision: null, scale: null, fraction: 0 },
};

/** A random document in MySQL's binary form, with its type byte. */
function wholeDocument(random: SeededRandom): Buffer {
  const { type, bytes } = value(random, 0);
  return Buffer.concat([Buffer.of(type), bytes]);
}

function value(random: SeededRandom, depth: number): { type: number; bytes: Buffer } {
  const scalars = [0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0f] as const;
  const type = depth < 4 && random.chance(0.5) ? random.pick([0, 1, 2, 3] as const) : random.pick(scalars);
  switch (type) {
    case 0x07:
    case 0x08:
      return { type, bytes: random.bytes(4) };
    case 0x09:
    case 0x0a:
    case 0x0b:
      return { type, bytes: random.bytes(8) };
    case 0x0c: {
      const text = random.bytes(random.int(0, 40));
      return { type, bytes: Buffer.concat([Buffer.of(text.length), text]) };
    }
    case 0x0f: {
      const content = random.pick([Buffer.of(10, 2, 0x80, 0, 0, 1, 5), random.bytes(8), random.bytes(120)]);
      return {
        type,
        bytes: Buffer.concat([Buffer.of(random.pick([246, 10, 12, 7, 11, 252]), content.length), content]),
      };
    }
    default:
      return { type, bytes: container(random, type === 1 || type === 3 ? 4 : 2, type < 2, depth) };
  }
}

function container(random: SeededRandom, width: 2 | 4, isObject: boolean, depth: number): Buffer {
  const items = Array.from({ length: random.int(0, 5) }, () => value(random, depth + 1));
  const keys = isObject ? items.map(() => random.bytes(random.int(0, 6))) : [];
  const head = Buffer.alloc(2 * width + items.length * (1 + width) + keys.length * (width + 2));
  head.writeUIntLE(items.length, 0, width);
  let offset = head.length;
  for (const [i, key] of keys.entries()) {
    head.writeUIntLE(offset, 2 * width + i * (width + 2), width);
    head.writeUInt16LE(key.length, 2 * width + i * (width + 2) + width);
    offset += key.length;
  }
  const entries = 2 * width + keys.length * (width + 2);
  for (const [i, { type, bytes }] of items.entries()) {
    head[entries + i * (1 + width)] = type;
    head.writeUIntLE(offset & 0xffff, entries + i * (1 + width) + 1, width);
    offset += bytes.length;
  }
  head.writeUIntLE(offset & 0xffff, width, width);
  return Buffer.concat([head, ...keys, ...items.map(({ bytes }) => bytes)]);
}

/** A container whose entries all name the same bytes: itself, its middle, or one long string. */
function references(random: SeededRandom): Buffer {
  const count = random.int(1, 20_000);
  const head = Buffer.alloc(5 + count * 3);
  head[0] = 2;
  head.writeUInt16LE(count, 1);
  const target = random.pick([0, random.int(0, 60_000), head.length - 1]);
  const type = random.pick([0, 2, 3, 12, 15]);
  for (let i = 0; i < count; i++) {
    head[5 + i * 3] = type;
    head.writeUInt16LE(Math.min(target, 65_535), 6 + i * 3);
  }
  return Buffer.concat([head, Buffer.of(0xff, 0xff, 3), Buffer.alloc(60_000, random.pick([0, 0x41, 0xff]))]);
}

/** Arrays within arrays, as deep as the bytes allow. */
function nested(random: SeededRandom): Buffer {
  const depth = random.int(90, 8_000);
  const level = Buffer.of(1, 0, 7, 0, 2, 7, 0);
  return Buffer.concat([Buffer.of(2), ...Array.from({ length: depth }, () => level)]);
}

export function hostileDocument(random: SeededRandom): Buffer {
  const kind = random.next();
  if (kind < 0.3) return wholeDocument(random);
  return kind < 0.995 ? damaged(wholeDocument(random), random) : random.pick([references, nested])(random);
}

/** Reads a document as a column of a row image. */
export function readDocument(random: SeededRandom): void {
  const codec = json(column, new Conversions());
  if (codec === undefined || 'refused' in codec) throw new Error('json is a type that can be read');
  const kind = random.next();
  const document = kind < 0.02 ? random.pick([references, nested])(random) : hostileDocument(random);
  const stored = Buffer.alloc(4 + document.length);
  stored.writeUInt32LE(document.length);
  document.copy(stored, 4);
  codec.fromImage(245, 4)?.read(stored, 0, new LineBuffer(1024));
}
