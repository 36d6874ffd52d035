import type { TableSchema } from '../change/table-schema.ts';
import { type Codec, Conversions } from './codec.ts';
import { columnCodec, isRefusal } from './column-codec.ts';

/** A table's codecs, column by column, with what they had to convert. */
export interface TableCodec {
  readonly schema: TableSchema;
  readonly codecs: readonly Codec[];
  readonly conversions: readonly Conversions[];
}

/** Why a table cannot be carried: one line per column. */
export interface TableRefusal {
  readonly refused: readonly string[];
}

export function tableCodec(schema: TableSchema): TableCodec | TableRefusal {
  const codecs: Codec[] = [];
  const conversions: Conversions[] = [];
  const refused: string[] = [];
  for (const column of schema.columns) {
    const counts = new Conversions();
    const codec = columnCodec(column, counts);
    if (isRefusal(codec)) refused.push(`column ${column.name}: ${codec.refused}`);
    else {
      codecs.push(codec);
      conversions.push(counts);
    }
  }
  return refused.length > 0 ? { refused } : { schema, codecs, conversions };
}
