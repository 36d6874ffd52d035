/** A server by what its statements depend on. */
export interface ServerVersion {
  readonly flavor: 'mariadb' | 'mysql';
  readonly major: number;
  readonly minor: number;
}

/** '10.11', '8.4.3', '10.11.19-MariaDB-log'. Null: it does not begin with two numbers. */
export function parseVersion(flavor: ServerVersion['flavor'], text: string): ServerVersion | null {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return major === undefined || minor === undefined ? null : { flavor, major: Number(major), minor: Number(minor) };
}

/** By what `select version()` and the greeting say: MariaDB has its name in it. */
export function flavorOf(version: string): ServerVersion['flavor'] {
  return /mariadb/i.test(version) ? 'mariadb' : 'mysql';
}

/** Since when either has it; null: never. */
type Since = Readonly<Record<ServerVersion['flavor'], readonly [number, number] | null>>;

export function isAtLeast({ flavor, major, minor }: ServerVersion, since: Since): boolean {
  const from = since[flavor];
  return from !== null && (major > from[0] || (major === from[0] && minor >= from[1]));
}
