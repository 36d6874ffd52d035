/**
 * A statement without its variable parts: names in backquotes, texts, numbers and lists of them become …. So does the condition
 * of a chunk, which grows with the key.
 */
export function shapeOf(sql: string): string {
  return (
    sql
      .replaceAll(/\s+/g, ' ')
      // One expression handles both, because a name may contain an apostrophe, and a text a backquote.
      .replaceAll(/`(?:[^`]|``)*`|_utf8mb4 x'[0-9a-f]*'|x'[0-9a-f]*'|'(?:[^'\\]|''|\\\\)*'/g, (found) =>
        found.startsWith('`') ? '`…`' : "'…'",
      )
      .replaceAll(/(?<![\w…])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi, '…')
      // Columns that are read through another expression.
      .replaceAll('`…` * …', '`…`')
      .replaceAll(/(`…`(?:@`…`)?)(?:, ?\1)+/g, '$1')
      .replaceAll(/('…')(?:, ?\1)+/g, '$1')
      .replace(/(force index \((?:primary|`…`)\) where) .* (order by)/, '$1 … $2')
      .toLowerCase()
  );
}

/** The shapes that docs/safety.md lists, by the role that sends them. */
export function documentedShapes(markdown: string): Readonly<Record<'both' | 'reader' | 'replicator', string[]>> {
  const of = (role: string) => {
    const block = new RegExp(`^### ${role}\\b[^]*?\`\`\`sql\\n([^]*?)\`\`\``, 'm').exec(markdown)?.[1] ?? '';
    return block.split(/;\n/).flatMap((shape) => {
      const statement = shape
        .replaceAll(/^--.*\n/gm, '')
        .replaceAll(/\s+/g, ' ')
        .trim();
      return statement === '' ? [] : [statement];
    });
  };
  return { both: of('Both'), reader: of('Reader'), replicator: of('Replicator') };
}
