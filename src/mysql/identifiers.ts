/** Quotes a name for the source in backquotes. A backquote inside is doubled. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** Quotes a text literal for a session whose sql_mode is empty (backslash escapes, single quotes). */
export function quoteText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}
