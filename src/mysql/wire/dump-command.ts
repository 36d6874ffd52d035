import type ZongJi from '@vlasky/zongji';
import type { Connection } from 'mysql2';

/** A packet as mysql2 passes it to a command: one event after a status byte, which is 0 for "event follows". */
export interface Packet {
  readonly buffer: Buffer;
  readonly offset: number;
  readonly end: number;
}

interface DumpCommand {
  binlogData(packet: Packet, connection: unknown): unknown;
  start(packet: Packet, connection: unknown): unknown;
}
type DumpCommandClass = new (callback: unknown) => DumpCommand;

/** The parts of zongji that are not published. */
interface ZongJiParts {
  BinlogClass: DumpCommandClass;
  connection: Connection | null;
  ctrlConnection: Connection | null;
}

/**
 * Makes zongji work on a connection of ours. Otherwise it would open two of its own: one for the dump, and one to look up columns and to
 * kill the first.
 */
export function useConnection(zongji: ZongJi, connection: Connection): void {
  const parts = zongji as unknown as ZongJiParts;
  parts.connection = connection;
  parts.ctrlConnection = connection;
}

/**
 * Gives each packet of the dump to `take`, instead of zongji's own decoder. `take` returns false for a packet that is no event; zongji then
 * handles it. Call this in zongji's `ready` event: the dump command is made right after it.
 */
export function tapDump(zongji: ZongJi, take: (packet: Packet) => boolean): void {
  const parts = zongji as unknown as ZongJiParts;
  parts.BinlogClass = class extends parts.BinlogClass {
    override start(packet: Packet, connection: unknown): unknown {
      super.start(packet, connection);
      return this.data;
    }

    data(packet: Packet, connection: unknown): unknown {
      if (take(packet)) return this.data;
      return super.binlogData(packet, connection) === null ? null : this.data;
    }
  };
}
