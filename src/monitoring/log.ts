import { Writable } from 'node:stream';
import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import { describeError } from '../errors/describe-error.ts';

export type Log = Logger;

/** Takes complete lines. */
export interface Terminal {
  write(line: string): void;
}

/** Writes JSON lines to `stream` or stdout, or readable lines to `terminal`. Errors are described, never dumped. */
export function createLog(
  level: string,
  to: { readonly stream?: DestinationStream; readonly terminal?: Terminal } = {},
): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
  };
  if (to.stream !== undefined) return pino(options, to.stream);
  const { terminal } = to;
  if (terminal !== undefined) {
    const destination = new Writable({
      write: (line: Buffer, _encoding, done) => {
        terminal.write(line.toString());
        done();
      },
    });
    return pino(
      options,
      pretty({ colorize: true, translateTime: 'SYS:HH:MM:ss', singleLine: true, destination, sync: true }),
    );
  }
  // Synchronous: the last lines before an exit are the ones that matter.
  return pino(options, pino.destination({ dest: 1, sync: true }));
}
