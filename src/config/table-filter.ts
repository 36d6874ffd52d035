/** Whether TABLES_INCLUDE (empty: all) selects a table and TABLES_EXCLUDE does not. Case is ignored. */
export function tableFilter(tables: {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}): (table: string) => boolean {
  const included = matchesAny(tables.include);
  const excluded = matchesAny(tables.exclude);
  return (table) => (tables.include.length === 0 || included(table)) && !excluded(table);
}

/** Whether a name matches one of the globs. Case is ignored. */
export function matchesAny(globs: readonly string[]): (name: string) => boolean {
  const patterns = globs.map(globPattern);
  return (name) => patterns.some((pattern) => pattern.test(name));
}

/** `*` matches any run of characters, `?` matches one. */
export function globPattern(glob: string): RegExp {
  const escaped = glob.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'isu');
}
