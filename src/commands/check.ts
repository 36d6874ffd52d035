import { print } from './print.ts';
import type { Config } from '../config/config.ts';
import type { Finding } from '../errors/finding.ts';
import { Scope } from '../lifetime/scope.ts';
import { type CheckOptions, runChecks } from '../pipeline/check/preflight.ts';

const labels = { ok: 'ok     ', warning: 'warning', error: 'ERROR  ' } as const;

/** Prints every finding with its remedy. Returns 0 when `run` would start, 1 when it would refuse. */
export async function check(config: Config, options: CheckOptions & { json: boolean }): Promise<number> {
  await using scope = new Scope();
  const findings = await runChecks(scope, config, options);
  const errors = findings.filter(({ level }) => level === 'error').length;
  if (options.json) print(JSON.stringify({ ready: errors === 0, findings }));
  else print(...inWords(findings), '', verdict(findings, errors));
  return errors === 0 ? 0 : 1;
}

/** Neighbours with the same remedy have it once, below the last one. */
function inWords(findings: readonly Finding[]): string[] {
  return findings.flatMap(({ level, subject, message, remedy }, index) => {
    const isLast = remedy !== findings[index + 1]?.remedy;
    const found = `${labels[level]}  ${subject}: ${message}`;
    return remedy === undefined || !isLast ? [found] : [found, `         -> ${remedy}`];
  });
}

function verdict(findings: readonly Finding[], errors: number): string {
  const warnings = findings.filter(({ level }) => level === 'warning').length;
  if (errors > 0) return `not ready: fix ${errors} ${errors === 1 ? 'error' : 'errors'}`;
  return warnings === 0 ? 'ready' : `ready, with ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`;
}
