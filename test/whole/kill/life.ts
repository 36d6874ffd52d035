import { RunProcess, patienceMs } from '../../../testing/run-process.ts';
import type { Death, Failpoint } from './plan.ts';

/** The outcome of one life of the program. */
export interface Life {
  /** The failpoint at which the program killed itself as planned. `signal`: it got a SIGKILL. */
  readonly died: Failpoint | 'signal';
  /** The last phase that it had logged when it died. */
  readonly during: Phase;
  readonly milliseconds: number;
}

export type Phase = 'start' | 'snapshot' | 'catching up' | 'streaming';

const phases: Readonly<Record<string, Phase>> = {
  'snapshot started': 'snapshot',
  'snapshot finished': 'catching up',
  'catching up': 'catching up',
  streaming: 'streaming',
};

/**
 * Starts `tidegate run` and waits until it dies as planned. If the planned event does not happen within `eventMs` of the first phase, for
 * example an unreached failpoint, it is killed by SIGKILL. A busy machine may need long before that phase. Throws, with the end of the
 * log, if the program ends by itself. `onPhase` is called with each phase.
 */
export async function liveUntil(
  death: Death,
  env: Readonly<Record<string, string>>,
  onPhase: (phase: Phase) => void,
  eventMs = 10_000,
): Promise<Life> {
  const run = new RunProcess({
    ...env,
    ...(death.by === 'failpoint' ? { TIDEGATE_FAILPOINT: `${death.name}:${death.nth}` } : {}),
  });
  let during: Phase = 'start';
  let killedByUs = false;
  const timers: NodeJS.Timeout[] = [];
  const killIn = (delayMs: number): void => {
    timers.push(
      setTimeout(() => {
        killedByUs = run.running;
        run.signal('SIGKILL');
      }, delayMs),
    );
  };
  killIn(patienceMs);
  run.onLine((line) => {
    const phase = phases[line.msg];
    if (phase !== undefined) {
      if (during === 'start') killIn(eventMs);
      during = phase;
      onPhase(phase);
    }
    if (death.by === 'signal' && death.after === line.msg) killIn(death.delayMs);
  });
  const { code, signal } = await run.exited;
  for (const timer of timers) clearTimeout(timer);
  if (signal !== 'SIGKILL') {
    throw new Error(`run ended with ${code ?? signal ?? 'nothing'} while it should have been killed:\n${run.tail()}`);
  }
  return {
    died: killedByUs || death.by === 'signal' ? 'signal' : death.name,
    during,
    milliseconds: Date.now() - run.spawnedAt,
  };
}

export function inWords({ died, during, milliseconds }: Life): string {
  return `died by ${died} during ${during} after ${milliseconds} ms`;
}
