import { describe, expect, it } from 'vitest';
import { parseColumnRules, ruleFinder } from './column-rules.ts';

describe('parseColumnRules', () => {
  it('reads every rule and ignores blanks and case', () => {
    const { rules, problems } = parseColumnRules(
      'patient.IsHidden=boolean, appt.Pattern = TEXT ,*.DateTStamp=local=America/New_York,,claim?.Date*=null=0001-01-01,document.Raw=omit,form.Answers=jsonb',
    );
    expect(problems).toEqual([]);
    expect(rules).toEqual([
      { table: 'patient', column: 'IsHidden', rule: { kind: 'boolean' } },
      { table: 'appt', column: 'Pattern', rule: { kind: 'text' } },
      { table: '*', column: 'DateTStamp', rule: { kind: 'local', zone: 'America/New_York' } },
      { table: 'claim?', column: 'Date*', rule: { kind: 'null', date: '0001-01-01' } },
      { table: 'document', column: 'Raw', rule: { kind: 'omit' } },
      { table: 'form', column: 'Answers', rule: { kind: 'jsonb' } },
    ]);
    expect(parseColumnRules('')).toEqual({ rules: [], problems: [] });
  });

  it.each([
    ['patient', 'table.column=rule'],
    ['patient=text', 'table.column=rule'],
    ['patient.a', 'table.column=rule'],
    ['.a=text', 'table.column=rule'],
    ['clinic.patient.a=text', 'table.column=rule'],
    ['patient.a=', 'no known rule'],
    ['patient.a=bool', 'no known rule'],
    ['patient.a=boolean=1', 'behind boolean'],
    ['patient.a=omit=', 'behind omit'],
    ['patient.a=json', 'no known rule'],
    ['patient.a=local', 'IANA'],
    ['patient.a=local=', 'IANA'],
    ['patient.a=local=America/New_Yrok', 'IANA'],
    ['patient.a=local=+02:00', 'IANA'],
    ['patient.a=null', 'calendar date'],
    ['patient.a=null=0000-00-00', 'calendar date'],
    ['patient.a=null=2023-02-29', 'calendar date'],
    ['patient.a=null=1-1-1', 'calendar date'],
    ['patient.a=null=0001-01-01 00:00:00', 'calendar date'],
  ])('reports what is wrong with %s by its number, without its text', (entry, problem) => {
    const { rules, problems } = parseColumnRules(`a.b=omit,${entry},c.d=nothing`);
    expect(rules).toHaveLength(1);
    expect(problems).toEqual([expect.stringMatching(/^entry 2 /), expect.stringMatching(/^entry 3 /)]);
    expect(problems[0]).toContain(problem);
    expect(problems[0]).not.toContain('patient');
  });
});

it('finds the rule of the first entry that matches, and ignores case', () => {
  const { rules } = parseColumnRules('patient.is*=boolean,*.IsOld=text,*.?d=omit');
  const rule = ruleFinder(rules);
  expect([rule('PATIENT', 'ISOLD'), rule('claim', 'isold'), rule('claim', 'Id'), rule('claim', 'Idd')]).toEqual([
    { kind: 'boolean' },
    { kind: 'text' },
    { kind: 'omit' },
    undefined,
  ]);
});
