import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import { describeError } from '../errors/describe-error.ts';

export type Log = Logger;

/** JSON lines to `stream` or stdout, or readable ones when stdout is a terminal. Errors are described, never dumped. */
export function createLog(level: string, stream?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
  };
  if (stream !== undefined) return pino(options, stream);
  // Synchronous: the last lines before an exit are the ones that matter.
  if (process.stdout.isTTY) return pino(options, pretty({ colorize: true, translateTime: 'SYS:HH:MM:ss', sync: true }));
  return pino(options, pino.destination({ dest: 1, sync: true }));
}
