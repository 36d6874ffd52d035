import { bytesCases } from './cases/bytes.ts';
import { jsonCases } from './cases/json.ts';
import { numberCases } from './cases/numbers.ts';
import { ruleCases } from './cases/rules.ts';
import { specialCases } from './cases/special.ts';
import { temporalCases } from './cases/temporal.ts';
import { textCases } from './cases/text.ts';
import { oldTemporalCases, zoneCases } from './cases/zones.ts';
import type { CaseServer, TypeCase } from './type-case.ts';

export const allCases: readonly TypeCase[] = [
  ...numberCases,
  ...textCases,
  ...bytesCases,
  ...temporalCases,
  ...oldTemporalCases,
  ...zoneCases,
  ...jsonCases,
  ...specialCases,
  ...ruleCases,
];

export function casesOn(server: CaseServer): readonly TypeCase[] {
  return allCases.filter(({ on }) => on === undefined || on(server));
}
