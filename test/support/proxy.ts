import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** `up`: from the client to the server. `down`: from the server to the client. */
export type Direction = 'up' | 'down';

/**
 * `pass`: everything passes. `swallow`: connections are accepted, and nothing passes in either direction. `half`: what the server sends is
 * swallowed. Bytes that were swallowed are lost, so a connection is of no use after another mode. `refuse`: connections are closed at once.
 */
export type Mode = 'pass' | 'swallow' | 'half' | 'refuse';

/** A bit to flip. */
export interface Flip {
  readonly direction: Direction;
  readonly pattern: Buffer;
  /** Bytes between the end of the pattern and the byte to damage. */
  readonly behind: number;
  /** How often, over all connections. 1 if absent. */
  readonly times?: number;
}

/**
 * What the proxy does at a packet of a client. `cut`: it ends the connection and loses the packet. `reset`: likewise, with a reset.
 * `lose-answer`: it passes the packet and cuts instead of the answer. `freeze`: it passes nothing more on this connection and leaves it open.
 * `delay`: it passes the packet and all behind it some seconds later. `late`: so late that the client has given up, and even then.
 */
export const packetFaults = ['cut', 'reset', 'lose-answer', 'freeze', 'delay', 'late'] as const;
export type PacketFault = (typeof packetFaults)[number];

/** A fault that is planned for a packet. */
export interface PlannedFault {
  /** The packet came by. */
  readonly isMet: boolean;
  /** The client has left the connection, or the delay has passed. */
  readonly isOver: boolean;
}

interface Destination {
  readonly host: string;
  readonly port: number;
  /** The address that the server sees. Absent: that of this machine. */
  readonly from?: string;
}

interface Link {
  /** Which connection this is, counted from 1. */
  readonly number: number;
  readonly client: Socket;
  readonly server: Socket;
  /** What the server sends is lost from now on. */
  isMute: boolean;
  /** What the client sends is lost, too. */
  isFrozen: boolean;
  /** Resolves when no packet is held up any more. */
  held: Promise<void>;
  fault: { isMet: boolean; isOver: boolean } | null;
}

/** How long a link whose answer is lost stays open, so that the server can do what it was asked. */
const muteMs = 200;
const heldMs = { delay: 3_000, late: 13_000 } as const;

type Matches = (packet: Buffer, connection: number) => boolean;

/**
 * A TCP proxy in the test process, between a program and a server. It misbehaves on request: `mode`, `delayMs`, `cut`, `flip`,
 * `cutAtPacket`, `loseAnswerOfPacket`, `faultAtPacket`. All of these apply to open connections, too, and may be changed at any time.
 *
 * A packet is what one read of a socket returns. A client that waits for each answer sends one packet per request.
 */
export class Proxy implements AsyncDisposable {
  mode: Mode = 'pass';
  /** Each packet waits for so long in either direction. */
  delayMs = 0;
  /** Connections accepted so far. */
  connections = 0;
  /** Packets of clients seen so far. */
  packets = 0;
  /** Bits flipped so far. */
  flips = 0;
  /** Connections cut, frozen or held up so far. */
  cuts = 0;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #waiting = new Set<Socket>();
  #flip: (Flip & { left: number }) | null = null;
  #fault: {
    readonly kind: PacketFault;
    readonly matches: Matches;
    left: number;
    readonly planned: { isMet: boolean; isOver: boolean };
  } | null = null;

  private constructor(to: Destination) {
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client, to));
  }

  /** Listens on a free port of 127.0.0.1 and leads to this server. */
  static async start(to: Destination): Promise<Proxy> {
    const proxy = new Proxy(to);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  readonly host = '127.0.0.1';

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#links.size + this.#waiting.size;
  }

  /**
   * Cuts all connections now, or the one of this index. New ones are accepted. `reset`: both sides get an error instead of an end.
   * Returns how many were cut.
   */
  cut({ how = 'end', only }: { readonly how?: 'end' | 'reset'; readonly only?: number } = {}): number {
    const links = [...this.#links].filter((_, index) => only === undefined || index === only);
    for (const link of links) {
      if (how === 'reset') for (const socket of [link.client, link.server]) socket.resetAndDestroy();
      this.#cut(link);
    }
    if (only === undefined) for (const socket of [...this.#waiting]) socket.destroy();
    return links.length;
  }

  /** Flips the lowest bit of one byte behind the next occurrence of a pattern. The pattern may be spread over packets. */
  flip(flip: Flip): void {
    this.#flip = { ...flip, left: flip.times ?? 1 };
  }

  /** Cuts the connection at the nth packet of a client from now on, counted over all connections. Only packets that match count. */
  cutAtPacket(n: number, matches?: Matches): void {
    this.faultAtPacket('cut', n, matches);
  }

  /** Passes the nth packet of a client from now on, and cuts the connection instead of passing the answer. */
  loseAnswerOfPacket(n: number, matches?: Matches): void {
    this.faultAtPacket('lose-answer', n, matches);
  }

  /** Does this at the nth packet of a client from now on. It takes the place of a fault that is planned and not met yet. */
  faultAtPacket(kind: PacketFault, n: number, matches: Matches = () => true): PlannedFault {
    const planned = { isMet: false, isOver: false };
    this.#fault = { kind, matches, left: n, planned };
    return planned;
  }

  /** Called with each packet of a client. */
  onPacket: (packet: Buffer, connection: number) => void = () => undefined;

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #accept(client: Socket, { host, port, from }: Destination): void {
    this.connections++;
    client.on('error', () => client.destroy());
    if (this.mode === 'refuse') {
      client.destroy();
      return;
    }
    if (this.mode === 'swallow') {
      this.#waiting.add(client);
      client.on('close', () => this.#waiting.delete(client)).resume();
      return;
    }
    const server = connect({ host, port, allowHalfOpen: true, ...(from === undefined ? {} : { localAddress: from }) });
    const link: Link = {
      ...{ number: this.connections, client, server },
      ...{ isMute: false, isFrozen: false, held: Promise.resolve(), fault: null },
    };
    this.#links.add(link);
    client.on('end', () => this.#left(link));
    client.on('close', () => this.#left(link));
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      // A packet that is held up arrives, even if its client has gone.
      socket.on('error', () => void link.held.then(() => this.#close(link)));
      socket.on('close', () => void link.held.then(() => this.#close(link)));
    }
    this.#pump(link, 'up');
    this.#pump(link, 'down');
  }

  #pump(link: Link, direction: Direction): void {
    const [from, to] = direction === 'up' ? [link.client, link.server] : [link.server, link.client];
    const flipper = new Flipper(direction);
    let sent = Promise.resolve();
    from.on('data', (packet: Buffer) => {
      let isHeld = false;
      if (direction === 'up') {
        this.packets++;
        this.onPacket(packet, link.number);
        if (link.isFrozen) return;
        const fault = this.#faultAt(packet, link);
        if (fault === 'cut' || fault === 'reset') {
          if (fault === 'reset') for (const socket of [link.client, link.server]) socket.resetAndDestroy();
          this.#cut(link);
          return;
        }
        if (fault === 'delay' || fault === 'late') {
          this.cuts++;
          isHeld = true;
          sent = sent.then(async () => await sleep(heldMs[fault], undefined, { ref: false }));
        }
        if (fault === 'freeze' || fault === 'lose-answer') link.isMute = true;
        if (fault === 'lose-answer') setTimeout(() => this.#cut(link), muteMs);
        if (fault === 'freeze') {
          link.isFrozen = true;
          this.cuts++;
          return;
        }
      }
      if (this.mode === 'swallow' || (direction === 'down' && (this.mode === 'half' || link.isMute))) return;
      this.flips += flipper.take(packet, this.#flip);
      from.pause();
      sent = sent.then(async () => {
        if (this.delayMs > 0) await sleep(this.delayMs);
        if (to.destroyed) return;
        if (!to.write(packet)) await Promise.race([once(to, 'drain'), once(to, 'close')]).catch(() => undefined);
        from.resume();
      });
      if (isHeld) link.held = sent.then(() => this.#left(link));
    });
    from.on('end', () => {
      // An end that is swallowed is a connection that fell silent.
      if (this.mode === 'swallow' || link.isFrozen || (direction === 'down' && this.mode === 'half')) return;
      void sent.then(() => to.end());
    });
  }

  #faultAt(packet: Buffer, link: Link): PacketFault | null {
    const fault = this.#fault;
    if (fault === null || !fault.matches(packet, link.number) || --fault.left > 0) return null;
    this.#fault = null;
    fault.planned.isMet = true;
    link.fault = fault.planned;
    return fault.kind;
  }

  #left(link: Link): void {
    if (link.fault !== null) link.fault.isOver = true;
  }

  #cut(link: Link): void {
    if (this.#links.has(link)) this.cuts++;
    this.#close(link);
  }

  #close(link: Link): void {
    this.#left(link);
    this.#links.delete(link);
    link.client.destroy();
    link.server.destroy();
  }
}

/** Looks for the pattern in one direction of one connection. Positions count from the start of that connection. */
class Flipper {
  readonly #direction: Direction;
  #position = 0;
  /** The end of what has passed, in which a pattern may have begun. */
  #tail: Buffer = Buffer.alloc(0);
  /** Where to damage a byte that has not passed yet; null: nowhere. */
  #target: number | null = null;

  constructor(direction: Direction) {
    this.#direction = direction;
  }

  /** Damages the packet in place if the byte to damage is in it. Returns the number of bits flipped. */
  take(packet: Buffer, flip: (Flip & { left: number }) | null): number {
    const start = this.#position;
    this.#position += packet.length;
    let flips = 0;
    if (flip !== null && flip.direction === this.#direction) {
      const seen = Buffer.concat([this.#tail, packet]);
      const at = this.#target === null && flip.left > 0 ? seen.indexOf(flip.pattern) : -1;
      if (at >= 0) {
        flip.left--;
        this.#target = start - this.#tail.length + at + flip.pattern.length + flip.behind;
      }
      if (this.#target !== null && this.#target < this.#position) {
        (packet[this.#target - start] as number) ^= 1;
        this.#target = null;
        flips = 1;
      }
      this.#tail = seen.subarray(Math.max(0, seen.length - flip.pattern.length + 1));
    }
    return flips;
  }
}
