import type { Side } from './scenario.ts';

const headBytes = { source: 4, target: 5 } as const;
const textQuery = 0x03;
const mostLetters = 90;

/** What a packet of a client asks for, without names, numbers and values, so that the same step has one shape in every run. */
export function shapeOf(side: Side, packet: Buffer): string {
  if (side === 'source' && packet[headBytes.source] !== textQuery)
    return `command ${packet[headBytes.source] ?? 'none'}`;
  const text = packet
    .toString('latin1', headBytes[side] + 1)
    .replaceAll(/[^ -~]+/g, ' ')
    .replaceAll(/'[^']*'/g, '?')
    .replaceAll(/[a-z]+_[0-9a-z]{6,}/g, 'name')
    .replaceAll(/\d+/g, 'n')
    .replaceAll(/\s+/g, ' ')
    .trim();
  const kind = side === 'target' ? `${String.fromCharCode(packet[0] ?? 0x3f)} ` : '';
  // The login has random bytes.
  if (kind.charCodeAt(0) < 0x20 || /^[^ A-Z]/.test(kind)) return 'login';
  return `${kind}${text.slice(0, mostLetters)}`;
}
