import type { Connection } from 'mysql2';
import { TidegateError } from '../../errors/tidegate-error.ts';
import { bufferRoomFor } from '../../lifetime/memory.ts';
import { socketOf } from './socket.ts';

/** mysql2 holds the parts and then the whole. No server sends more than 1 GB (max_allowed_packet). */
const mostBytes = bufferRoomFor(1 / 2, 2 ** 30);

/** The parts of mysql2 that are not published. */
interface PacketParser {
  readonly largePacketParts: Buffer[];
  onPacket: (packet: unknown) => void;
}

/**
 * mysql2 joins the parts of a large packet, of 16 MB each, before anything else sees it. It would go on until the memory is full. Instead this
 * breaks the connection off, and what waits for it fails with binlog-unreadable.
 */
export function boundPackets(connection: Connection): void {
  const { packetParser } = connection as unknown as { readonly packetParser: PacketParser };
  const { largePacketParts: parts } = packetParser;
  parts.push = (part) => {
    const bytes = parts.reduce((sum, { length }) => sum + length, part.length);
    if (bytes <= mostBytes) return Array.prototype.push.call(parts, part);
    parts.length = 0;
    // What has arrived already would be taken for other packets.
    packetParser.onPacket = () => undefined;
    const megabytes = Math.floor(mostBytes / 1_000_000);
    socketOf(connection).destroy(
      new TidegateError('binlog-unreadable', `the source sends a packet of more than ${megabytes} MB`, {
        hint: 'A row or a transaction of that size needs more memory: raise the limit of the container or service, and start again. Nothing is lost.',
      }),
    );
    return 0;
  };
}
