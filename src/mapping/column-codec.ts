import type { ColumnSchema } from '../definition/table-schema.ts';
import { addresses } from './addresses.ts';
import { bits, blobsAndGeometry, fixedBinary } from './bytes.ts';
import type { Codec, CodecFamily, Conversions, Refusal } from './codec.ts';
import { enums, sets } from './enum-set.ts';
import { integers, year } from './integers.ts';
import { json } from './json.ts';
import { decimals, floats } from './numbers.ts';
import { ruledCodec } from './ruled-codec.ts';
import { dates, datetimes, times, timestamps } from './temporal.ts';
import { text } from './text.ts';

const families: readonly CodecFamily[] = [
  integers,
  year,
  decimals,
  floats,
  text,
  enums,
  sets,
  blobsAndGeometry,
  fixedBinary,
  bits,
  dates,
  datetimes,
  timestamps,
  times,
  json,
  addresses,
];

/** The codec of a column, by its rule if it has one, or the reason why it cannot be copied exactly. */
export function columnCodec(column: ColumnSchema, conversions: Conversions): Codec | Refusal {
  const codec = codecOfType(column, conversions);
  return isRefusal(codec) ? codec : ruledCodec(column, codec, conversions);
}

function codecOfType(column: ColumnSchema, conversions: Conversions): Codec | Refusal {
  for (const family of families) {
    const codec = family(column, conversions);
    if (codec !== undefined) return codec;
  }
  return { refused: `type ${column.type} is not supported` };
}

export function isRefusal(codec: Codec | Refusal): codec is Refusal {
  return 'refused' in codec;
}
