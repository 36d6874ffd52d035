/** The flavor and version that decide which statements a server understands. */
export interface ServerVersion {
  readonly flavor: 'mariadb' | 'mysql';
  readonly major: number;
  readonly minor: number;
}

/** Parses '10.11', '8.4.3' or '10.11.19-MariaDB-log'. Null: the text does not begin with two numbers. */
export function parseVersion(flavor: ServerVersion['flavor'], text: string): ServerVersion | null {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return major === undefined || minor === undefined ? null : { flavor, major: Number(major), minor: Number(minor) };
}

/** Reads the flavor from `select version()` or from the greeting. MariaDB has its name in the text. */
export function flavorOf(version: string): ServerVersion['flavor'] {
  return /mariadb/i.test(version) ? 'mariadb' : 'mysql';
}

/** The first version of each flavor that has a feature; null: no version has it. */
type Since = Readonly<Record<ServerVersion['flavor'], readonly [number, number] | null>>;

export function isAtLeast({ flavor, major, minor }: ServerVersion, since: Since): boolean {
  const from = since[flavor];
  return from !== null && (major > from[0] || (major === from[0] && minor >= from[1]));
}
