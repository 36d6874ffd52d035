import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { ColumnSchema } from '../../src/definition/table-schema.ts';
import { type RulePattern, parseColumnRules } from '../../src/config/column-rules.ts';
import { Conversions } from '../../src/mapping/codec.ts';
import { columnCodec, isRefusal } from '../../src/mapping/column-codec.ts';
import { misfit } from '../../src/mapping/ruled-codec.ts';
import { allCases } from './types/all-cases.ts';

const page = await readFile(new URL('../../docs/types.md', import.meta.url), 'utf8');

/** The rows of the table with this heading of its first column, as cells. */
function table(heading: string): string[][] {
  const lines = page.split('\n');
  const start = lines.findIndex((line) => new RegExp(`^\\| ${heading} *\\|`).test(line));
  const rows: string[][] = [];
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break;
    rows.push(
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

const quoted = (cell: string | undefined) => [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, text]) => text ?? '');

const mappings = table('source').flatMap(([source, target]) =>
  quoted(source).map((type): [string, string] => [type, quoted(target)[0] ?? '']),
);

/** A column of this type, with numbers for the letters p, s and n. */
function column(type: string): ColumnSchema {
  const name = /^[a-z0-9]+/.exec(type)?.[0] ?? '';
  const isTemporal = ['time', 'datetime', 'timestamp'].includes(name);
  return {
    name: 'v',
    type: name,
    fullType: withNumbers(type),
    nullable: true,
    charset: /char|text|enum|set/.test(name) ? 'utf8mb4' : null,
    length: 3,
    precision: type === 'bit(1)' ? 1 : name === 'bit' ? 3 : name === 'decimal' ? 12 : null,
    scale: name === 'decimal' ? 4 : null,
    fraction: isTemporal ? 3 : 0,
  };
}

function withNumbers(type: string): string {
  return type.replace('(p,s)', '(12,4)').replace('(n)', '(3)');
}

describe('docs/types.md', () => {
  test.each(mappings)('says correctly that %s becomes %s', (source, target) => {
    const codec = columnCodec(column(source), new Conversions());
    expect(isRefusal(codec) ? codec.refused : codec.pgType).toBe(withNumbers(target));
  });

  test.each(table('rule'))('lists correctly the types that rule %s fits', (name, fits) => {
    const [kind = ''] = quoted(name)[0]?.split('=') ?? [];
    const { rules } = parseColumnRules(`t.v=${kind}${{ local: '=Asia/Kathmandu', null: '=0001-01-01' }[kind] ?? ''}`);
    const types = [...new Set(mappings.map(([source]) => column(source).type))];
    const fitting = types.filter(
      (type) => misfit({ ...column(type), rule: (rules[0] as RulePattern).rule }, false) === null,
    );
    expect(fitting.toSorted()).toEqual(
      (fits === 'every type, also one that is not carried' ? types : quoted(fits)).toSorted(),
    );
  });

  test('names every type of the integers, text, bytes, times and the rest', () => {
    expect(mappings.length).toBeGreaterThan(40);
    expect(new Set(mappings.map(([source]) => source)).size).toBe(mappings.length);
  });

  test('has a row of cells for every tested type, and no unequal cell', () => {
    const cells = table('type');
    const types = new Set(cells.map(([type]) => type));
    expect(types).toEqual(new Set([...allCases.map(({ type }) => type), 'all']));
    expect(cells.flat().filter((cell) => cell.includes('UNEQUAL'))).toEqual([]);
  });
});
