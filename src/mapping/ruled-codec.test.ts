import { describe, expect, it } from 'vitest';
import type { ColumnRule } from '../definition/column-rule.ts';
import { LineBuffer } from '../change/line-buffer.ts';
import type { ColumnSchema } from '../definition/table-schema.ts';
import { binlogType } from './binlog-types.ts';
import { Conversions } from './codec.ts';
import { columnCodec, isRefusal } from './column-codec.ts';
import { InvalidValue } from './invalid-value.ts';
import { misfit } from './ruled-codec.ts';
import { tableCodec } from './table-codec.ts';

const column = (type: string, rule?: ColumnRule): ColumnSchema => ({
  name: `a_${type}`,
  type,
  fullType: type,
  nullable: true,
  charset: null,
  length: null,
  precision: null,
  scale: null,
  fraction: 0,
  ...(rule === undefined ? {} : { rule }),
});

describe('misfit', () => {
  it.each<[string, ColumnRule, string]>([
    ['int', { kind: 'boolean' }, 'rule boolean does not fit a column of type int; rules that fit: text, omit'],
    ['varchar', { kind: 'text' }, 'rule text does not fit a column of type varchar; rules that fit: jsonb, omit'],
    ['datetime', { kind: 'local', zone: 'UTC' }, 'rules that fit: text, null, omit'],
    ['time', { kind: 'null', date: '0001-01-01' }, 'rules that fit: text, omit'],
  ])('names the rules that fit a column of type %s', (type, rule, message) => {
    expect(misfit(column(type, rule), false)).toContain(message);
  });

  it.each<[string, ColumnRule, string | null]>([
    ['tinyint', { kind: 'boolean' }, 'does not fit a key column of type tinyint; rules that fit: text'],
    ['timestamp', { kind: 'local', zone: 'UTC' }, 'rules that fit: text'],
    ['date', { kind: 'null', date: '0001-01-01' }, 'no rule fits'],
    ['date', { kind: 'text' }, 'no rule fits'],
    ['datetime', { kind: 'text' }, 'no rule fits'],
    ['bigint', { kind: 'omit' }, 'rules that fit: text'],
    ['bigint', { kind: 'text' }, null],
    ['time', { kind: 'text' }, null],
  ])('allows a key of type %s only rules that keep its values distinct', (type, rule, message) => {
    const found = misfit(column(type, rule), true);
    if (message === null) expect(found).toBeNull();
    else expect(found).toContain(message);
  });

  it('accepts omit for a type that is not supported, and every type without a rule', () => {
    expect(misfit(column('xmltype', { kind: 'omit' }), false)).toBeNull();
    expect(misfit(column('xmltype'), true)).toBeNull();
  });
});

it('refuses a boolean other than 0 and 1, in the snapshot and in the stream', () => {
  const codec = columnCodec(column('tinyint', { kind: 'boolean' }), new Conversions());
  if (isRefusal(codec)) throw new Error(codec.refused);
  const out = new LineBuffer();
  const reader = codec.fromImage(binlogType.tiny, 0);
  for (const value of [2, 10, 11, 100, -1, -128, 127]) {
    const text = Buffer.from(String(value), 'latin1');
    expect(() => codec.fromText(text, 0, text.length, out)).toThrow(InvalidValue);
    expect(() => reader?.read(Buffer.of(value & 0xff), 0, out)).toThrow(InvalidValue);
  }
});

it('leaves an omitted column out of the replicated table, and keeps it in the source table', () => {
  const id = { ...column('bigint'), name: 'id' };
  const codec = tableCodec({
    table: 't',
    columns: [column('xmltype', { kind: 'omit' }), id, column('date')],
    primaryKey: [1],
  });
  if ('refused' in codec) throw new Error('refused');
  expect(codec.schema.columns.map(({ name }) => name)).toEqual(['id', 'a_date']);
  expect(codec.schema.primaryKey).toEqual([0]);
  expect(codec.codecs.map(({ pgType }) => pgType)).toEqual(['bigint', 'date']);
  expect(codec.source.columns).toHaveLength(3);
  expect(codec.source.primaryKey).toEqual([1]);
});
