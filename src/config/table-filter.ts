/** Whether the operator wants a table: selected by TABLES_INCLUDE (empty: all) and not by TABLES_EXCLUDE. Case is ignored. */
export function tableFilter(tables: {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}): (table: string) => boolean {
  const include = tables.include.map(globPattern);
  const exclude = tables.exclude.map(globPattern);
  return (table) =>
    (include.length === 0 || include.some((glob) => glob.test(table))) && !exclude.some((glob) => glob.test(table));
}

/** `*` stands for any run of characters, `?` for one. */
export function globPattern(glob: string): RegExp {
  const escaped = glob.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'isu');
}
