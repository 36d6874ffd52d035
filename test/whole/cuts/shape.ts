export type Side = 'source' | 'target';

const sourceHead = 4;
const textQuery = 0x03;
const mostLetters = 200;

/** Says what the packets of one connection ask for, without names of a test, numbers and values: the same step has one shape in every run. */
export class Shapes {
  readonly #side: Side;
  /** What the names of this test's databases and accounts have in common. */
  readonly #tag: string;
  /** Which connection of the service it is; null: it has not said so yet. */
  #name: string | null = null;
  /** Statements that the server knows by a name. */
  readonly #prepared = new Map<string, string>();

  constructor(side: Side, tag: string) {
    this.#side = side;
    this.#tag = tag;
  }

  /** What the connection is for, as it has said at its beginning. */
  get name(): string {
    return this.#name ?? 'unnamed';
  }

  of(packet: Buffer): string {
    const shape = this.#side === 'source' ? this.#ofSource(packet) : this.#ofTarget(packet);
    return `${this.name}: ${shape}`;
  }

  #ofSource(packet: Buffer): string {
    // The login has random bytes. A command begins a numbering of its own.
    if (packet[3] !== 0 || packet.length <= sourceHead) {
      this.#name ??= packet.includes(`rp_${this.#tag}`) ? 'replicator' : 'reader';
      return `login ${packet[3] ?? 'part'}`;
    }
    if (packet[sourceHead] !== textQuery) return `command ${packet[sourceHead]}`;
    return this.#words(packet.toString('latin1', sourceHead + 1));
  }

  #ofTarget(packet: Buffer): string {
    if (packet[0] === 0) {
      const [, name] = /application_name\0([^\0]*)\0/.exec(packet.toString('latin1')) ?? [];
      if (name !== undefined) this.#name = this.#words(name.replace(/ #.*/, ''));
      return 'login';
    }
    if (packet[0] === 0x70) return 'password';
    const messages: string[] = [];
    for (let at = 0; at + 5 <= packet.length; at += 1 + packet.readUInt32BE(at + 1)) {
      const letter = String.fromCharCode(packet[at] ?? 0);
      const end = Math.min(packet.length, at + 1 + packet.readUInt32BE(at + 1));
      const [first = '', second = ''] = packet.toString('latin1', at + 5, end).split('\0');
      if (letter === 'P') this.#prepared.set(first, this.#words(second));
      if (letter === 'Q') messages.push(this.#words(first));
      else if (letter === 'B') messages.push(this.#prepared.get(second) ?? 'unknown');
      else if ('dcfX'.includes(letter) && messages.at(-1) !== letter) messages.push(letter);
    }
    return messages.join('; ').slice(0, mostLetters) || 'data';
  }

  #words(text: string): string {
    return text
      .replaceAll(this.#tag, 'tag')
      .replaceAll(/\b(patient|visit|code|keyless|round)\b/g, 'table')
      .replaceAll(/[^ -~]+/g, ' ')
      .replaceAll(/'[^']*'/g, '?')
      .replaceAll(/\d+/g, 'n')
      .replaceAll(/\s+/g, ' ')
      .trim()
      .slice(0, mostLetters);
  }
}
