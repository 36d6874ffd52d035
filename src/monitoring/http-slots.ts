import type { ServerResponse } from 'node:http';
import { type Socket, isIPv6 } from 'node:net';

/**
 * Connections that wait: no complete head of a request has arrived, or an answer is out and the next request has not come. An idle
 * connection costs some 10 KiB. There are many slots because a probe needs a moment to send its head, and must not be the oldest by then.
 */
const mostWaiting = 1_024;
const mostWaitingOfNetwork = 512;
/** Connections whose request is being answered. An answer takes milliseconds, unless its client does not read it. */
const mostAnswering = 64;
const mostAnsweringOfNetwork = 32;
/** A client that has not read its answer by then is hung up on. */
const answerMs = 15_000;

/**
 * Who may keep a connection to the status server. A new connection is always accepted. When slots are short, the oldest connection of the
 * address that holds the most is closed. So clients that open many connections or send slowly close each other, and a probe gets through.
 *
 * Invariant: waiting connections never take the slots of requests whose head is complete, and other machines never take those of loopback.
 */
export class ConnectionSlots {
  readonly #loopback = new Pool();
  readonly #others = new Pool();

  /** A connection was opened. */
  opened(socket: Socket): void {
    const address = socket.remoteAddress;
    // The client is gone already.
    if (address === undefined) return;
    const { waiting, answering } = this.#poolOf(address);
    waiting.add(socket, address);
    socket.once('close', () => {
      waiting.remove(socket);
      answering.remove(socket);
    });
  }

  /**
   * The head of a request is complete, and `response` is to answer it. False: it must not be answered, and the connection is closed. A client
   * that asks again before it has its answer sends requests faster than it reads, which no browser and no scraper does.
   */
  asked(socket: Socket, response: ServerResponse): boolean {
    const address = socket.remoteAddress;
    if (address === undefined || socket.destroyed) return false;
    const { waiting, answering } = this.#poolOf(address);
    if (answering.has(socket)) {
      socket.destroy();
      return false;
    }
    waiting.remove(socket);
    answering.add(socket, address);
    const deadline = setTimeout(() => socket.destroy(), answerMs);
    response.once('close', () => {
      clearTimeout(deadline);
      answering.remove(socket);
      if (!socket.destroyed) waiting.add(socket, address);
    });
    return true;
  }

  #poolOf(address: string): Pool {
    return isLoopback(address) ? this.#loopback : this.#others;
  }
}

class Pool {
  readonly waiting = new Slots(mostWaiting, mostWaitingOfNetwork);
  readonly answering = new Slots(mostAnswering, mostAnsweringOfNetwork);
}

/** Connections by age, the oldest first, each with the network that it counts for. */
class Slots {
  readonly #most: number;
  readonly #mostOfNetwork: number;
  readonly #networks = new Map<Socket, string>();
  readonly #counts = new Map<string, number>();

  constructor(most: number, mostOfNetwork: number) {
    this.#most = most;
    this.#mostOfNetwork = mostOfNetwork;
  }

  /** Adds a connection as the youngest, and closes another one if there are too many. */
  add(socket: Socket, address: string): void {
    this.remove(socket);
    const network = networkOf(address);
    this.#networks.set(socket, network);
    this.#counts.set(network, (this.#counts.get(network) ?? 0) + 1);
    if ((this.#counts.get(network) ?? 0) > this.#mostOfNetwork) this.#closeOldest(network);
    else if (this.#networks.size > this.#most) this.#closeOldest(this.#largest());
  }

  has(socket: Socket): boolean {
    return this.#networks.has(socket);
  }

  remove(socket: Socket): void {
    const network = this.#networks.get(socket);
    if (network === undefined) return;
    this.#networks.delete(socket);
    const left = (this.#counts.get(network) ?? 0) - 1;
    if (left > 0) this.#counts.set(network, left);
    else this.#counts.delete(network);
  }

  #largest(): string {
    let largest = '';
    for (const [network, count] of this.#counts) if (count > (this.#counts.get(largest) ?? 0)) largest = network;
    return largest;
  }

  #closeOldest(network: string): void {
    for (const [socket, its] of this.#networks)
      if (its === network) {
        this.remove(socket);
        socket.destroy();
        return;
      }
  }
}

/** A machine chooses freely among the IPv6 addresses of its network, whose name is the first half of the address. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address;
  const [head = ''] = address.split('%');
  return head.split('::', 2)[0]?.split(':').slice(0, 4).join(':') ?? '';
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.replace(/^::ffff:/, '').startsWith('127.');
}
