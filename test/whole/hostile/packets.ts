import { LineBuffer } from '../../../src/change/line-buffer.ts';
import { fromMysql } from '../../../src/errors/mysql-errors.ts';
import { knownCodec } from '../../../src/mapping/table-codec.ts';
import { RowPackets } from '../../../src/mysql/wire/row-packets.ts';
import { greetingIn } from '../../../src/mysql/wire/server-greeting.ts';
import type { SeededRandom } from '../../../testing/random/seeded-random.ts';
import { damaged, lengthEncoded } from './bytes.ts';

const text = { charset: 'utf8mb4' };
const types: readonly (readonly [type: string, facts: object, printed: readonly string[]])[] = [
  ['bigint', {}, ['1', '-9223372036854775808', '42']],
  ['varchar', text, ['', 'plain', 'tab\there', '\0']],
  ['decimal', { precision: 10, scale: 2 }, ['1.00', '-12345678.90']],
  ['float', {}, ['1.5', '-3.4028234663852886e38', '0']],
  ['double', { fullType: 'double(10,2)' }, ['1.50', '-0']],
  ['date', {}, ['2024-02-29', '0000-00-00']],
  ['datetime', { fraction: 3 }, ['2024-02-29 12:00:00.123']],
  ['timestamp', { rule: { kind: 'local', zone: 'Europe/Berlin' } }, ['2024-07-01 12:00:00']],
  ['time', {}, ['-838:59:59', '00:00:01']],
  ['year', { fullType: 'year(4)' }, ['1999', '0000']],
  ['bit', { precision: 9 }, ['\x01\xff']],
  ['enum', { ...text, fullType: `enum('a','b')` }, ['a', 'b']],
  ['set', { ...text, fullType: `set('a','b','c')` }, ['a,c', '']],
  ['json', {}, ['{"a": "\\u0000"}', '[]']],
  ['tinyint', { rule: { kind: 'boolean' } }, ['0', '1', '2']],
  ['longtext', { ...text, rule: { kind: 'jsonb' } }, ['{"a": 1}', 'no json']],
  ['blob', {}, ['\x00\xff']],
  ['inet6', {}, ['::1', '1:2:3:4:5:6:1.2.3.4']],
  ['uuid', {}, ['00112233-4455-6677-8899-aabbccddeeff']],
];
const codec = knownCodec({
  table: 'beat',
  columns: types.map(([type, facts], index) => ({
    ...{ nullable: index > 0, charset: null, length: null, precision: null, scale: null, fraction: 0 },
    ...{ name: `c${index}`, type, fullType: type, ...facts },
  })),
  primaryKey: [0],
});

const value = (printed: string) => {
  const bytes = Buffer.from(printed, 'latin1');
  return Buffer.concat([lengthEncoded(bytes.length), bytes]);
};
const row = (random: SeededRandom) =>
  Buffer.concat(
    types.map(([, , printed], index) =>
      index > 0 && random.chance(0.1) ? Buffer.of(0xfb) : value(random.pick(printed)),
    ),
  );
const endOfRows = Buffer.of(0xfe, 0, 0, 2, 0);

/** A packet between others, as mysql2 passes it: a view of what the socket has received. */
function packet(payload: Buffer, random: SeededRandom) {
  const buffer = Buffer.concat([Buffer.alloc(4), payload, random.bytes(random.int(0, 20))]);
  return {
    ...{ buffer, offset: 4, end: 4 + payload.length },
    isError: () => payload[0] === 0xff,
    asError: () => Object.assign(new Error('refused'), { errno: 1064, code: 'ER_PARSE_ERROR' }),
  };
}

/** Answers a select with damaged packets. Raises what the reader of the rows gets. */
export function damagedRows(random: SeededRandom): void {
  const state: { error: Error | null } = { error: null };
  const command = new RowPackets('select', codec, new LineBuffer(1024), { bytes: 1e6, ms: 1e6 }, null, (error) => {
    state.error = error;
  });
  const connection = { _resetSequenceId: () => undefined, writePacket: () => undefined };
  command.execute(null, connection);
  const definition = () => Buffer.concat([value('def'), value('clinic'), value('beat'), random.bytes(20)]);
  const answer = [
    lengthEncoded(types.length),
    ...types.map(definition),
    endOfRows,
    ...Array.from({ length: 3 }, () => row(random)),
    endOfRows,
  ];
  const broken = random.chance(0.15) ? 0 : random.int(types.length + 2, answer.length - 1);
  for (const [index, payload] of answer.entries()) {
    const sent = index === broken ? damaged(payload, random) : payload;
    if (command.execute(packet(sent, random), connection)) break;
  }
  if (state.error !== null) throw fromMysql(state.error, { what: 'read', role: 'reader' });
  command.lastKey();
  command.lastKeyText();
}

const greetings = [
  '0a352e352e352d31302e31312e362d4d61726961444200080000002d7e3e2c5d2b2b5100fef7080200ff81150000000000000700000064',
  '0a382e342e3300090000000d7e3e2c5d2b2b5100ffffff0200ffdf150000000000000000000064',
  'ff6a04486f737420',
].map((hex) => Buffer.from(hex, 'hex'));

/** What a server sends before any login. */
export function damagedGreeting(random: SeededRandom): void {
  const packet = random.chance(0.1) ? random.bytes(random.int(0, 300)) : damaged(random.pick(greetings), random);
  const header = Buffer.alloc(4);
  header.writeUIntLE(random.chance(0.1) ? random.int(0, 0xff_ffff) : packet.length, 0, 3);
  greetingIn(Buffer.concat([header, packet]));
}
