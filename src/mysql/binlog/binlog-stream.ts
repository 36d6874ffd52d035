import ZongJi from '@vlasky/zongji';
import type { SourceConfig } from '../../config/config.ts';
import type { Position } from '../../change/position.ts';
import { fromMysql } from '../../errors/mysql-errors.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { Scope } from '../../lifetime/scope.ts';
import { SourceConnection } from '../connection.ts';
import { isAtLeast } from '../server-version.ts';
import { type Packet, tapDump, useConnection } from '../wire/dump-command.ts';
import { socketOf } from '../wire/socket.ts';
import { eventType, typeAt } from './event-header.ts';

/** Receives events in order: `source` from `at` to `end` is one event. */
export interface EventSink {
  event(source: Buffer, at: number, end: number): void;
}

/** The source sends something at least this often. A much longer silence means that the connection is dead. */
export const heartbeatSeconds = 1;
const silenceLimitMs = 15_000;
/** A heartbeat means that there is nothing to send. That holds until the next heartbeats are missing. */
const idleMs = 5 * heartbeatSeconds * 1_000;
/** Bytes that are received before the event loop turns. Otherwise Node takes up to 2 MiB from a socket that always has more. */
const turnBytes = 64 * 1024;
const checksumsSince = { mariadb: [5, 3], mysql: [5, 6] } as const;
/** First byte of an EOF packet. A dump that waits for new events never ends by itself. */
const endOfDump = 0xfe;

/**
 * A binlog dump from `start` on, as the replication user. zongji negotiates the dump on a connection of ours. It asks by GTID if the
 * position has a GTID of the kind that this server uses. After the `ready` event of zongji, each event goes to `sink` as bytes.
 */
export class BinlogStream {
  readonly #zongji = new ZongJi({});
  /** Null before the connection is open, and again after the end. */
  #connection: SourceConnection | null = null;
  readonly #failed = Promise.withResolvers<never>();
  /** By a monotonic clock, which no change of the system time moves. */
  #heardAt = performance.now();
  /** When the last event arrived, if it was a heartbeat; null: it was another event. */
  #idleAt: number | null = null;
  /** Bytes that the socket has received. A large event may take longer to arrive than the server may be silent. */
  #socketBytes = 0;
  #readBytes = 0;
  /** Bytes received since the last turn of the event loop. */
  #turnBytes = 0;
  #givesWay = false;
  #paused = false;
  #closed = false;
  readonly #watch: NodeJS.Timeout;

  /** `sinkFor` is called once, as soon as it is known whether events before the first file description carry checksums. */
  constructor(
    scope: Scope,
    source: SourceConfig,
    start: Position,
    byGtid: boolean,
    sinkFor: (checksums: boolean) => EventSink,
  ) {
    // The promise may reject before any code awaits it.
    this.#failed.promise.catch(() => undefined);
    this.#begin(scope, source, start, byGtid, sinkFor).catch((error: unknown) => this.#fail(error));
    this.#watch = setInterval(() => this.#checkSilence(), 1_000);
  }

  async #begin(
    scope: Scope,
    source: SourceConfig,
    start: Position,
    byGtid: boolean,
    sinkFor: (checksums: boolean) => EventSink,
  ): Promise<void> {
    const connection = await SourceConnection.open(scope, source, 'replicator');
    if (this.#closed) return connection.destroy();
    this.#connection = connection;
    const zongji = this.#zongji;
    useConnection(zongji, connection.raw);
    const failed = (error: unknown) => this.#fail(fromMysql(error, { what: 'binlog dump', role: 'replicator' }));
    connection.raw.on('error', failed);
    zongji.on('error', failed);
    zongji.on('ready', () => {
      const nanoseconds = heartbeatSeconds * 1_000_000_000;
      // The checksum algorithm for events that the server creates before the first file. Without it, or with the server's current setting
      // that zongji sends, a server refuses to send files that were written under another setting.
      connection.raw.query(
        `set @master_heartbeat_period = ${nanoseconds}, @source_heartbeat_period = ${nanoseconds}, @master_binlog_checksum = 'CRC32'`,
      );
      const { version } = connection;
      const sink = sinkFor(version === null || isAtLeast(version, checksumsSince));
      tapDump(zongji, (packet) => this.#take(packet, sink));
    });
    zongji.start({
      serverId: source.serverId,
      ...(byGtid && start.gtid !== null ? { gtidSet: start.gtid } : { filename: start.file, position: start.offset }),
    });
  }

  /** False: the packet is no event, and zongji must handle it. */
  #take({ buffer, offset, end }: Packet, sink: EventSink): boolean {
    const status = buffer[offset];
    if (status === endOfDump) this.#fail(new TidegateError('source-unreachable', 'the source ended the binlog dump'));
    if (status !== 0) return status === endOfDump;
    this.#heardAt = performance.now();
    this.#idleAt = buffer[offset + 1 + typeAt] === eventType.heartbeat ? this.#heardAt : null;
    this.#readBytes += end - offset;
    if (this.#closed) return true;
    this.#turnBytes += end - offset;
    if (this.#turnBytes >= turnBytes) this.#giveWay();
    try {
      sink.event(buffer, offset + 1, end);
    } catch (error) {
      this.#fail(error);
    }
    return true;
  }

  /** Rejects when the dump breaks, with a TidegateError; never resolves. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Bytes received so far. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /** Milliseconds since the source sent something; 0 while the socket is not read. */
  get silentMs(): number {
    return this.#paused || this.#closed ? 0 : performance.now() - this.#heardAt;
  }

  /** The source has sent a heartbeat lately and no event since: it has nothing to send. */
  get isIdle(): boolean {
    return !this.#paused && this.#idleAt !== null && performance.now() - this.#idleAt < idleMs;
  }

  /** Stops reading from the socket. Bytes that have arrived already are still delivered. */
  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    this.#connection?.raw.pause();
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#heardAt = performance.now();
    if (!this.#givesWay) this.#connection?.raw.resume();
  }

  /** Lets other work run, above all answers of PostgreSQL, which would be idle otherwise. */
  #giveWay(): void {
    if (this.#givesWay) return;
    this.#givesWay = true;
    this.#connection?.raw.pause();
    setImmediate(() => {
      this.#givesWay = false;
      this.#turnBytes = 0;
      if (!this.#paused && !this.#closed) this.#connection?.raw.resume();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    if (this.#connection === null) return;
    this.#zongji.stop();
    this.#connection.destroy();
    this.#connection = null;
  }

  #checkSilence(): void {
    const received = this.#connection === null ? 0 : socketOf(this.#connection.raw).bytesRead;
    if (received !== this.#socketBytes) this.#heardAt = performance.now();
    this.#socketBytes = received;
    if (this.silentMs < silenceLimitMs) return;
    this.#fail(
      new TidegateError('source-unreachable', `the binlog connection has been silent for ${silenceLimitMs / 1000} s`),
    );
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.close();
    this.#failed.reject(error);
  }
}
