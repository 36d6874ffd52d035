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
  if (options.json) process.stdout.write(`${JSON.stringify({ ready: errors === 0, findings })}\n`);
  else process.stdout.write(`${inWords(findings)}\n\n${verdict(findings, errors)}\n`);
  return errors === 0 ? 0 : 1;
}

/** Neighbours with the same remedy have it once, below the last one. */
function inWords(findings: readonly Finding[]): string {
  const lines = findings.map(({ level, subject, message, remedy }, index) => {
    const isLast = remedy !== findings[index + 1]?.remedy;
    return `${labels[level]}  ${subject}: ${message}${remedy === undefined || !isLast ? '' : `\n         -> ${remedy}`}`;
  });
  return lines.join('\n');
}

function verdict(findings: readonly Finding[], errors: number): string {
  const warnings = findings.filter(({ level }) => level === 'warning').length;
  if (errors > 0) return `not ready: fix ${errors} ${errors === 1 ? 'error' : 'errors'}`;
  return warnings === 0 ? 'ready' : `ready, with ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`;
}
