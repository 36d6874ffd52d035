import type { Conversion } from '../change/conversion.ts';
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

/** What the readers converted since the last call. */
export function takeConversions({ schema, conversions }: TableCodec): readonly Conversion[] {
  let counted: Conversion[] = none;
  for (let i = 0; i < conversions.length; i++) {
    const counts = conversions[i] as Conversions;
    if (counts.total > 0) counted = [...counted, ...counts.take(schema.columns[i]?.name ?? '')];
  }
  return counted;
}

const none: Conversion[] = [];

/**
 * A key column of which a value had to be converted, so that two rows of the source may have become one; null: none. To be asked
 * before `takeConversions`.
 */
export function convertedKeyColumn({ schema, conversions }: TableCodec): string | null {
  for (const index of schema.primaryKey)
    if ((conversions[index]?.total ?? 0) > 0) return schema.columns[index]?.name ?? null;
  return null;
}
