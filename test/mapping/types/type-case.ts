import type { Arbitrary } from 'fast-check';

export interface CaseServer {
  readonly flavor: 'mariadb' | 'mysql';
  readonly version: string;
}

/** SQL text of a value, alone or with what PostgreSQL must print for it (null: NULL). */
export type CaseValue = string | readonly [sql: string, expected: string | null];

/** One column type with the values it is tried with. A table is made of it: a key, and the column `v`. */
export interface TypeCase {
  /** Also the table's name. */
  readonly name: string;
  /** The type as a line of the table of cells calls it. */
  readonly type: string;
  /** Definition of `v`. */
  readonly column: string;
  readonly values: readonly CaseValue[];
  /** SQL text of random values. */
  readonly random?: Arbitrary<string>;
  /** The column that values are written to; `v` by default, another where the server makes `v` of it. */
  readonly written?: string;
  /** More columns, indexes or checks of the table. */
  readonly more?: string;
  /** Table options: engine, character set. */
  readonly options?: string;
  /** Run before values are written, in a session that begins with `sql_mode = ''` in UTC. */
  readonly session?: readonly string[];
  /** Run before and after the table is made. */
  readonly making?: readonly [before: string, after: string];
  /** The rule that COLUMN_RULES gives `v`. */
  readonly rule?: string;
  /** The two servers may spell a value differently: PostgreSQL judges by this expression of the source's text, `s.v`. */
  readonly byTarget?: string;
  /** It is not carried, for a reason that this is part of: left out, or suspended at its first change; undefined: it is. */
  readonly notCarried?: (server: CaseServer) => string | undefined;
  /** Which servers have the type; all by default. */
  readonly on?: (server: CaseServer) => boolean;
}

/** Compares versions as numbers, two parts of them. */
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

/** A string literal of any characters, whatever the session's escapes and character set. */
export function textLiteral(text: string): string {
  return text === '' ? `''` : `_utf8mb4 x'${Buffer.from(text, 'utf8').toString('hex')}'`;
}

export function bytesLiteral(bytes: Uint8Array): string {
  return bytes.length === 0 ? `''` : `x'${Buffer.from(bytes).toString('hex')}'`;
}

/** Keys of a value on the three paths. The rows to be updated are there before the snapshot, without a value. */
export const paths = { snapshot: 0, insert: 1_000_000, update: 2_000_000 } as const;
