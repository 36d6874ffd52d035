import type { Conversion } from '../change/conversion.ts';
import type { TableSchema } from '../definition/table-schema.ts';
import { TidegateError } from '../errors/tidegate-error.ts';
import { type Codec, Conversions } from './codec.ts';
import { columnCodec, isRefusal } from './column-codec.ts';
import { misfit } from './ruled-codec.ts';

/** A table's codecs, column by column, with the counts of their conversions. */
export interface TableCodec {
  /** The table at the source: a row image has these columns, and the control schema stores them. */
  readonly source: TableSchema;
  /** The table as replicated, without omitted columns: a select, a line and the target have these columns. */
  readonly schema: TableSchema;
  readonly codecs: readonly Codec[];
  readonly conversions: readonly Conversions[];
}

/** Why a table cannot be replicated, column by column. */
export interface TableRefusal {
  readonly refused: readonly RefusedColumn[];
}

export interface RefusedColumn {
  readonly column: string;
  readonly reason: string;
  /** The column cannot be copied exactly, or the rule that the operator gave it does not fit. */
  readonly fault: 'column' | 'rule';
}

export function isOmitted({ rule, perSession }: TableSchema['columns'][number]): boolean {
  return rule?.kind === 'omit' || perSession !== undefined;
}

/** Columns that are omitted because of what they are, and not by a rule. Each has the reason. */
export function omittedBySession({ columns }: TableSchema): { readonly name: string; readonly reason: string }[] {
  return columns.flatMap(({ name, rule, perSession }) =>
    perSession === undefined || rule?.kind === 'omit' ? [] : [{ name, reason: perSession }],
  );
}

export function tableCodec(source: TableSchema): TableCodec | TableRefusal {
  const codecs: Codec[] = [];
  const conversions: Conversions[] = [];
  const refused: RefusedColumn[] = [];
  for (const [index, column] of source.columns.entries()) {
    const misruled = misfit(column, source.primaryKey.includes(index));
    if (misruled !== null) refused.push({ column: column.name, reason: misruled, fault: 'rule' });
    else if (column.perSession !== undefined && source.primaryKey.includes(index))
      refused.push({
        column: column.name,
        reason: `it is in the key, and its value depends on the session: ${column.perSession}`,
        fault: 'column',
      });
    else if (!isOmitted(column)) {
      const counts = new Conversions();
      const codec = columnCodec(column, counts);
      if (isRefusal(codec)) refused.push({ column: column.name, reason: codec.refused, fault: 'column' });
      else {
        codecs.push(codec);
        conversions.push(counts);
      }
    }
  }
  return refused.length > 0 ? { refused } : { source, schema: withoutOmitted(source), codecs, conversions };
}

/**
 * The codec of a stored schema. A schema that was replicated once can be replicated again, unless this version of Tidegate
 * supports less than the version that stored it.
 */
export function knownCodec(schema: TableSchema): TableCodec {
  const codec = tableCodec(schema);
  if ('refused' in codec)
    throw new TidegateError(
      'internal',
      `table ${schema.table}: ${codec.refused.map(({ column, reason }) => `column ${column}: ${reason}`).join('; ')}`,
    );
  return codec;
}

function withoutOmitted(source: TableSchema): TableSchema {
  const columns = source.columns.filter((column) => !isOmitted(column));
  const primaryKey = source.primaryKey.map((index) =>
    columns.indexOf(source.columns[index] as (typeof columns)[number]),
  );
  return { ...source, columns, primaryKey };
}

/** The key's columns alone, in key order. */
export function keyCodec({ source, schema, codecs, conversions }: TableCodec): TableCodec {
  const { primaryKey } = schema;
  const columns = primaryKey.map((index) => schema.columns[index] as (typeof schema.columns)[number]);
  return {
    source,
    schema: { ...schema, columns, primaryKey: primaryKey.map((_, position) => position) },
    codecs: primaryKey.map((index) => codecs[index] as Codec),
    conversions: primaryKey.map((index) => conversions[index] as Conversions),
  };
}

/** Returns the conversions of the readers since the last call, and resets their counts. */
export function takeConversions({ schema, conversions }: TableCodec): readonly Conversion[] {
  let counted: Conversion[] = none;
  for (let i = 0; i < conversions.length; i++) {
    const counts = conversions[i] as Conversions;
    if (counts.total === 0) continue;
    counted = [...counted, ...counts.since(zero, schema.columns[i]?.name ?? '')];
    counts.set(zero);
  }
  return counted;
}

const none: Conversion[] = [];
const zero = new Conversions();

/** Reports conversions row by row without resetting the counts. The counts must be zero when the journal is created. */
export class ConversionJournal {
  readonly #codec: TableCodec;
  readonly #seen: readonly Conversions[];

  constructor(codec: TableCodec) {
    this.#codec = codec;
    this.#seen = codec.conversions.map(() => new Conversions());
  }

  /** The conversions since the last call. */
  next(): readonly Conversion[] {
    const { schema, conversions } = this.#codec;
    let counted = none;
    for (let i = 0; i < conversions.length; i++) {
      const now = conversions[i] as Conversions;
      const seen = this.#seen[i] as Conversions;
      if (now.total === seen.total) continue;
      counted = [...counted, ...now.since(seen, schema.columns[i]?.name ?? '')];
      seen.set(now);
    }
    return counted;
  }
}

/**
 * A key column with a converted value, so that two rows of the source may have become one; null: none. Call it before
 * `takeConversions`, which resets the counts.
 */
export function convertedKeyColumn({ schema, conversions }: TableCodec): string | null {
  for (const index of schema.primaryKey)
    if ((conversions[index]?.total ?? 0) > 0) return schema.columns[index]?.name ?? null;
  return null;
}
