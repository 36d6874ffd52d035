import { Writable } from 'node:stream';
import { type DestinationStream, type Logger, pino } from 'pino';
import pretty from 'pino-pretty';
import { describeError } from '../errors/describe-error.ts';
import { printable } from '../errors/printable.ts';

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
    const shown = pretty({ colorize: true, translateTime: 'SYS:HH:MM:ss', singleLine: true, destination, sync: true });
    return pino(options, { write: (line) => void shown.write(withVisibleControls(line)) });
  }
  return pino(options, stdout());
}

/** Lines that could not be written yet are kept up to here; then new ones are lost. */
const mostKeptBytes = 1024 * 1024;

/** Synchronous: the last lines before an exit are the ones that matter. A full disk costs lines, and never the replication. */
function stdout(): DestinationStream {
  const destination = pino.destination({ dest: 1, sync: true, maxLength: mostKeptBytes });
  let isTold = false;
  destination.on('error', ({ code }: NodeJS.ErrnoException) => {
    if (isTold || code === 'EPIPE') return;
    isTold = true;
    process.stderr.write(`tidegate: the log cannot be written (${code}); the service goes on\n`);
  });
  // A line is JSON, in which this changes no value.
  return { write: (line) => void destination.write(`${printable(line.trimEnd())}\n`) };
}

/** Keeps control characters of names escaped when pino-pretty prints them. Line ends stay: a stack has them. */
function withVisibleControls(line: string): string {
  return line
    .replaceAll(/(?<!\\)((?:\\\\)*)\\(u00[01][0-9a-f]|[bfr])/g, String.raw`$1\\$2`)
    .replaceAll(/[\u007f-\u009f]/g, (char) => String.raw`\\u00${char.charCodeAt(0).toString(16)}`);
}
