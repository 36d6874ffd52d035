import { crc32 } from 'node:zlib';
import { bytesAt } from '../../change/bytes-at.ts';
import { formatPosition } from '../../change/position.ts';
import { TidegateError } from '../../errors/tidegate-error.ts';
import type { BinlogCursor } from './binlog-cursor.ts';
import {
  type StatementText,
  readLoadStatement,
  readMariadbGtid,
  readMysqlGtid,
  readStatement,
  readTaggedGtid,
} from './event-bodies.ts';
import {
  type EventHeader,
  checksumLength,
  eventType,
  headerLength,
  typeAt,
  readEventHeader,
  rowsFormOf,
} from './event-header.ts';
import type { GroupHistory } from './group-history.ts';
import { type BatchFiller, RowEvents } from './row-events.ts';
import { readPayload } from './transaction-payload.ts';
import { type Statement, classifyStatement, mayName } from './statement.ts';
import { type StreamTable, type StreamTables, isNewTo } from './stream-tables.ts';

/** `open`: inside a transaction. `xa`: inside an XA transaction, which is prepared here and decided later. */
type Group = 'none' | 'open' | 'xa';

/**
 * Turns binlog events into changes. A pure function of the bytes it is fed and the tables it was given: it reads no socket, queries no
 * server, and keeps no row.
 *
 * Groups: a transaction is Gtid, Query BEGIN, row events, and then Xid (engines with transactions) or Query COMMIT (MyISAM). MariaDB's Gtid
 * event replaces BEGIN. A definition statement is a group of its own and commits implicitly.
 *
 * Raises TidegateError binlog-damaged for an event that contradicts its checksum or itself. Raises binlog-unreadable where it would have to
 * guess in order to continue. Raises source-unreachable if the address leads to another server than the one that reported its positions.
 */
export class BinlogDecoder {
  readonly cursor: BinlogCursor;
  readonly #tables: StreamTables;
  readonly #filler: BatchFiller;
  readonly #rowEvents: RowEvents;
  readonly #history: GroupHistory;
  readonly #serverId: number;
  #checksums: boolean;
  #group: Group = 'none';
  #groupStart;
  #isInPayload = false;
  #gtid: string | null = null;
  /** The server has ended the present file: it went on to the next one, or was shut down. */
  #isFileEnded: boolean;
  /** The server went on to another file without ending the one before: it crashed. */
  #isTorn = false;

  /**
   * `history`: groups that were applied are only compared. `serverId`: the server_id of the server that owns this binlog. `checksums`: whether
   * events before the first format description carry a checksum.
   */
  constructor(
    cursor: BinlogCursor,
    tables: StreamTables,
    filler: BatchFiller,
    history: GroupHistory,
    serverId: number,
    checksums: boolean,
  ) {
    this.cursor = cursor;
    this.#serverId = serverId;
    this.#tables = tables;
    this.#filler = filler;
    this.#history = history;
    this.#rowEvents = new RowEvents(tables, filler, history);
    this.#checksums = checksums;
    this.#groupStart = cursor.position;
    // A dump by GTID may begin in a later file, and the end of the one before stays unseen. It may have been a crash.
    this.#isFileEnded = cursor.position.file === '';
  }

  /** Takes one complete event: `source` from `at` to `end`, including header and checksum. */
  event(source: Buffer, at: number, end: number): void {
    // Nothing behind the event can be read through this view, whatever the event states about itself.
    const event = source.subarray(at, end);
    try {
      this.#event(event);
    } catch (error) {
      if (error instanceof RangeError)
        this.#damaged(`an event of type ${event[typeAt]} does not have the form that it states`, error);
      throw error;
    }
  }

  #event(event: Buffer): void {
    const header = readEventHeader(event);
    if (header.length !== event.length) throw new RangeError('an event does not have the length that it states');
    this.#rowEvents.received(event.length);
    if (header.type === eventType.formatDescription) {
      this.#formatDescription(header, event);
      return;
    }
    this.#dispatch(header, this.#checksums ? this.#checked(event) : event);
  }

  #formatDescription(header: EventHeader, event: Buffer): void {
    // The byte before its own checksum shows whether the events of this file have checksums.
    this.#checksums = event.readUInt8(event.length - checksumLength - 1) === 1;
    if (this.#checksums) this.#checked(event);
    if (this.#group !== 'none' && !header.artificial && header.endPosition !== 0) this.#cutOff(event);
    this.#isFileEnded = false;
    this.cursor.fileBegan(header.timestamp);
    // When a dump starts in mid-file, the server repeats the description of the file without a position. It moves nothing.
    if (header.endPosition !== 0) this.cursor.advance(header);
    if (this.#isTorn) this.#crashed();
  }

  #crashed(): void {
    this.#isTorn = false;
    if (this.#history.isBehind(this.cursor.position)) return;
    for (const table of this.#tables.named(this.#tables.database)) if (table.isTornByCrash === true) this.#doubt(table);
    this.#idle();
  }

  /**
   * A file begins in the midst of a transaction. MariaDB leaves the beginning of a transaction in its binlog when it crashes while it writes it,
   * and rolls the transaction back when it starts again. Then it gives the GTID to another one. Its replicas drop the beginning likewise
   * (sql/log_event_server.cc, `Format_description_log_event::do_apply_event`). MySQL cuts such a file.
   */
  #cutOff(description: Buffer): void {
    // Only the first file after a start of the server has the time of its creation.
    if (description.readUInt32LE(createdAt) === 0)
      this.#unreadable('a transaction does not end in the file where it begins');
    this.#group = 'none';
    this.#gtid = null;
    if (!this.#history.isApplied) this.#filler.cutOff();
  }

  /** Returns the event without its checksum. */
  #checked(event: Buffer): Buffer {
    const bodyEnd = event.length - checksumLength;
    if (crc32(event.subarray(0, bodyEnd)) !== event.readUInt32LE(bodyEnd))
      this.#damaged('an event failed its checksum');
    return event.subarray(0, bodyEnd);
  }

  /** `source`: the event without its checksum. */
  #dispatch(header: EventHeader, source: Buffer): void {
    const body = headerLength;
    const rows = rowsFormOf(header.type);
    if (rows !== undefined) {
      this.#advance(header);
      this.#rowEvents.rows(rows, source, body, {
        start: this.#groupStart,
        isXa: this.#group === 'xa',
        at: header.timestamp,
      });
      return;
    }
    switch (header.type) {
      case eventType.rotate:
        // The server that sends the dump creates this event, so the event has the id of that server.
        if (header.artificial && header.serverId !== this.#serverId)
          throw new TidegateError('source-unreachable', 'the binlog now comes from another server than before');
        this.#rotate(header, fileName(source, body + 8), Number(source.readBigUInt64LE(body)));
        return;
      case eventType.heartbeat:
        this.cursor.heartbeat(fileName(source, body), header.endPosition);
        if (this.#group === 'none') {
          this.#history.idle(this.cursor.position);
          this.#idle();
        }
        return;
      case eventType.gtid:
        this.#startGroup(header, readMysqlGtid(source, body), 'none');
        return;
      case eventType.gtidTagged:
        this.#startGroup(header, readTaggedGtid(source, body), 'none');
        return;
      case eventType.anonymousGtid:
        this.#startGroup(header, null, 'none');
        return;
      case eventType.mariadbGtid: {
        const { gtid, isAlone, isPreparedXa } = readMariadbGtid(header, source, body);
        this.#startGroup(header, gtid, isAlone ? 'none' : isPreparedXa ? 'xa' : 'open');
        return;
      }
      case eventType.query:
      case eventType.mariadbQueryCompressed:
        // Without GTIDs a group starts with its first statement.
        if (this.#group === 'none' && this.#gtid === null) {
          this.#groupStart = this.cursor.position;
          this.#history.begin(null, this.#groupStart);
        }
        this.#advance(header);
        this.#statement(header, readStatement(source, body, header.type === eventType.mariadbQueryCompressed));
        return;
      case eventType.tableMap:
        this.#advance(header);
        this.#rowEvents.mapTable(source, body);
        return;
      case eventType.xid:
        this.#advance(header);
        this.#endGroup(header);
        return;
      case eventType.xaPrepare:
        this.#advance(header);
        this.#endGroup(header);
        return;
      case eventType.stop:
        this.#isFileEnded = true;
        // A checkpoint behind this event would hide it, and the restart would look like a crash.
        this.#advance(header);
        return;
      case eventType.intvar:
      case eventType.rand:
      case eventType.userVar:
      case eventType.ignorable:
      case eventType.rowsQuery:
      case eventType.previousGtids:
      case eventType.transactionContext:
      case eventType.viewChange:
      case eventType.appendBlock:
      case eventType.deleteFile:
      case eventType.beginLoadQuery:
      case eventType.mariadbAnnotateRows:
      case eventType.mariadbBinlogCheckpoint:
      case eventType.mariadbGtidList:
        this.#skip(header);
        return;
      case eventType.incident:
        return this.#unreadable('the source reports that its binlog lost events (incident)');
      case eventType.transactionPayload:
        this.#advance(header);
        this.#payload(header, source, body);
        return;
      case eventType.executeLoadQuery:
        this.#advance(header);
        this.#statement(header, readLoadStatement(source, body));
        return;
      case eventType.mariadbStartEncryption:
        this.#skip(header);
        return;
      default:
        if (!header.ignorable) this.#unreadable(`events of type ${header.type} are not known`);
        this.#skip(header);
    }
  }

  #rotate(header: EventHeader, file: string, offset: number): void {
    const isRepeated = header.artificial || header.endPosition === 0;
    const isNext = file !== this.cursor.position.file;
    if (isNext && isRepeated && !this.#isFileEnded) this.#isTorn = true;
    this.cursor.enterFile(file, offset, isRepeated);
    if (!isRepeated) this.#isFileEnded = true;
    if (this.#group === 'none' && !this.#isTorn) this.#idle();
  }

  #doubt(table: StreamTable): void {
    if (isNewTo(table, this.cursor.position)) this.#filler.batch.doubtful.add(table.codec.schema.table);
  }

  /** The events of a compressed transaction have no positions of their own. */
  #advance(header: EventHeader): void {
    if (!this.#isInPayload) this.cursor.advance(header);
  }

  /** A transaction as one compressed event: from BEGIN to Xid, without checksums. */
  #payload(header: EventHeader, source: Buffer, body: number): void {
    if (this.#isInPayload) throw new RangeError('a compressed transaction is within another one');
    const events = readPayload(source, body);
    if (events === null) {
      if (!this.#history.isApplied)
        this.#suspendAll('a compressed transaction is too large to see which tables it changed');
      this.#endGroup(header);
      return;
    }
    this.#isInPayload = true;
    try {
      for (let at = 0; at < events.length;) {
        const rest = events.subarray(at);
        const inner = readEventHeader(rest);
        if (inner.length < headerLength) throw new RangeError('an event is shorter than its header');
        this.#dispatch(inner, bytesAt(rest, 0, inner.length));
        at += inner.length;
      }
    } finally {
      this.#isInPayload = false;
    }
  }

  #skip(header: EventHeader): void {
    this.#advance(header);
    if (this.#group === 'none') this.#idle();
  }

  /** The position moved outside any transaction. */
  #idle(): void {
    if (this.#history.isBehind(this.cursor.position)) return;
    const { batch } = this.#filler;
    batch.end = { position: this.cursor.position, committedAt: batch.end?.committedAt ?? null };
    this.#filler.boundary();
  }

  #startGroup(header: EventHeader, gtid: string | null, group: Group): void {
    if (this.#group !== 'none') this.#unreadable('a transaction started before the previous one ended');
    const before = this.cursor.position;
    this.cursor.advance(header);
    // The start that the event itself states. After a start by GTID, the counted position may be far before it.
    const { position } = this.cursor;
    this.#groupStart = header.endPosition === 0 ? before : { ...position, offset: position.offset - header.length };
    this.#gtid = gtid;
    this.#history.begin(gtid, this.#groupStart);
    this.#enter(group);
  }

  #enter(group: Group): void {
    this.#group = group;
    this.#rowEvents.begin();
    if (group !== 'none' && !this.#history.isApplied) this.#filler.batch.begin();
  }

  #endGroup(header: EventHeader): void {
    const { isApplied } = this.#history;
    this.#history.end();
    this.#group = 'none';
    if (this.#gtid !== null && !isApplied) this.cursor.gtids.add(this.#gtid);
    this.#gtid = null;
    this.#groupStart = this.cursor.position;
    if (isApplied) return;
    this.#filler.batch.commit({ position: this.#groupStart, committedAt: header.timestamp });
    this.#filler.boundary();
  }

  #statement(header: EventHeader, text: StatementText | null): void {
    if (text === null) {
      if (!this.#history.isApplied)
        this.#suspendAll('a compressed statement is too large to see which tables it changed');
      if (this.#group === 'none') this.#endGroup(header);
      return;
    }
    const statement = classifyStatement(text.sql, text.database, text);
    const { isApplied } = this.#history;
    switch (statement.kind) {
      case 'begin':
        if (this.#group === 'none') this.#enter('open');
        return;
      case 'xa-start':
        this.#enter('xa');
        return;
      case 'commit':
        this.#endGroup(header);
        return;
      case 'rollback':
        if (!isApplied)
          this.#rowEvents.suspendChanged('a transaction that was rolled back is in the binlog with its rows');
        this.#endGroup(header);
        return;
      case 'rollback-to-savepoint':
        if (!isApplied)
          this.#rowEvents.suspendChanged('a rollback to a savepoint is in the binlog with the rows it undoes');
        return;
      default:
        if ((statement.kind === 'truncate' || statement.kind === 'unfollowed') && this.#tables.isOurs(text.database))
          this.#history.statement(text.sql, header.timestamp);
        if (!isApplied) this.#apply(statement, text.database);
    }
    // Outside BEGIN … COMMIT a statement is a group of its own.
    if (this.#group === 'none') this.#endGroup(header);
  }

  #apply(statement: Statement, database: string): void {
    switch (statement.kind) {
      case 'truncate': {
        const table = this.#tables.find(statement.table.database, statement.table.table);
        if (table === undefined || !isNewTo(table, this.#groupStart)) return;
        this.#filler.batch.truncate(table.codec.schema);
        return;
      }
      case 'repaired':
        for (const { database, table } of statement.tables)
          for (const meant of this.#tables.named(database, table)) this.#doubt(meant);
        return;
      case 'unfollowed': {
        const { reason, indexes } = statement;
        for (const { database, table } of statement.tables) this.#tables.defined(database, table);
        const meant =
          statement.database === undefined
            ? statement.tables.flatMap(({ database, table }) => this.#tables.named(database, table))
            : this.#tables.named(statement.database);
        const isKey = ({ codec: { schema } }: (typeof meant)[number]) =>
          indexes === undefined || indexes.some((index) => mayName(index, schema.keyIndex ?? 'primary'));
        for (const table of new Set(meant))
          if (isKey(table) && isNewTo(table, this.#groupStart)) this.#rowEvents.suspend(table, reason);
        return;
      }
      case 'rows-unseen':
        // The statement may name our database itself, whatever its default database is.
        if (
          database.toLowerCase() !== this.#tables.database.toLowerCase() &&
          !statement.names.has(this.#tables.database.toLowerCase())
        )
          return;
        // Whatever it names, it may have changed any table through a view, trigger or function.
        this.#suspendAll(statement.reason);
        return;
      default:
        return;
    }
  }

  #suspendAll(reason: string): void {
    for (const table of this.#tables.named(this.#tables.database))
      if (isNewTo(table, this.#groupStart)) this.#rowEvents.suspend(table, reason);
  }

  #unreadable(what: string): never {
    throw new TidegateError('binlog-unreadable', `${what}; near ${formatPosition(this.cursor.position)}`);
  }

  /** The event may be whole at the source. */
  #damaged(what: string, cause?: unknown): never {
    const position = formatPosition(this.cursor.position);
    throw new TidegateError('binlog-damaged', `${what}; near ${position}`, { cause, position });
  }
}

/** Offset of the creation time in a format description. The version of the format and 50 bytes of the server's version come before it. */
const createdAt = headerLength + 2 + 50;
/** The longest name of a file at the server (FN_REFLEN). */
const mostNameBytes = 512;

function fileName(source: Buffer, at: number): string {
  const length = source.length - at;
  if (length > mostNameBytes) throw new RangeError('the name of a binlog file is longer than a server allows');
  return bytesAt(source, at, length).toString('utf8');
}
