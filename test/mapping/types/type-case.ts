import type { Arbitrary } from 'fast-check';

export interface CaseServer {
  readonly flavor: 'mariadb' | 'mysql';
  readonly version: string;
}

/** The SQL text of a value, alone or with the text that PostgreSQL must print for it (null: NULL). */
export type CaseValue = string | readonly [sql: string, expected: string | null];

/** One column type with its test values. Its table has a key and the column `v`. */
export interface TypeCase {
  /** Also the name of the table. */
  readonly name: string;
  /** The name of the type in the table of cells. */
  readonly type: string;
  /** The definition of `v`. */
  readonly column: string;
  readonly values: readonly CaseValue[];
  /** The SQL text of random values. */
  readonly random?: Arbitrary<string>;
  /** The column to which values are written: `v` by default, another one if the server computes `v` from it. */
  readonly written?: string;
  /** Additional columns, indexes or checks of the table. */
  readonly more?: string;
  /** Table options: engine, character set. */
  readonly options?: string;
  /** Statements before the values are written, in a session that starts with `sql_mode = ''` in UTC. */
  readonly session?: readonly string[];
  /** Statements before and after the table is created. */
  readonly making?: readonly [before: string, after: string];
  /** The rule that COLUMN_RULES gives `v`. */
  readonly rule?: string;
  /**
   * Set if the two servers may print a value differently: PostgreSQL then compares with this expression of the source's text,
   * `s.v`.
   */
  readonly byTarget?: string;
  /**
   * A part of the reason why the type is not carried: the table is left out, or suspended at its first change. Undefined if it is
   * carried.
   */
  readonly notCarried?: (server: CaseServer) => string | undefined;
  /** Which servers have the type; by default all of them. */
  readonly on?: (server: CaseServer) => boolean;
}

/** Compares the first two parts of versions as numbers. */
export function atLeast(version: string, wanted: string): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number);
  const [c = 0, d = 0] = wanted.split('.').map(Number);
  return a > c || (a === c && b >= d);
}

export const mariadb =
  (from = '0') =>
  ({ flavor, version }: CaseServer): boolean =>
    flavor === 'mariadb' && atLeast(version, from);

export const mysql =
  (from = '0') =>
  ({ flavor, version }: CaseServer): boolean =>
    flavor === 'mysql' && atLeast(version, from);

/** A string literal of any characters, independent of the session's escapes and character set. */
export function textLiteral(text: string): string {
  return text === '' ? `''` : `_utf8mb4 x'${Buffer.from(text, 'utf8').toString('hex')}'`;
}

export function bytesLiteral(bytes: Uint8Array): string {
  return bytes.length === 0 ? `''` : `x'${Buffer.from(bytes).toString('hex')}'`;
}

/** The key offsets of a value on the three paths. The rows that will be updated exist before the snapshot, without a value. */
export const paths = { snapshot: 0, insert: 1_000_000, update: 2_000_000 } as const;
