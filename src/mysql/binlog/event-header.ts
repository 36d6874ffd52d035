/**
 * Binlog event types (MySQL: libs/mysql/binlog/event/binlog_event.h, MariaDB: sql/log_event.h). Only the types named here matter to a copy.
 * Others are skipped if the writer marked them as ignorable, and refused otherwise.
 */
export const eventType = {
  query: 2,
  stop: 3,
  rotate: 4,
  intvar: 5,
  appendBlock: 9,
  deleteFile: 11,
  rand: 13,
  userVar: 14,
  formatDescription: 15,
  xid: 16,
  beginLoadQuery: 17,
  executeLoadQuery: 18,
  tableMap: 19,
  writeRowsV1: 23,
  updateRowsV1: 24,
  deleteRowsV1: 25,
  incident: 26,
  heartbeat: 27,
  ignorable: 28,
  rowsQuery: 29,
  writeRows: 30,
  updateRows: 31,
  deleteRows: 32,
  gtid: 33,
  anonymousGtid: 34,
  previousGtids: 35,
  transactionContext: 36,
  viewChange: 37,
  xaPrepare: 38,
  partialUpdateRows: 39,
  transactionPayload: 40,
  heartbeatV2: 41,
  gtidTagged: 42,
  mariadbAnnotateRows: 160,
  mariadbBinlogCheckpoint: 161,
  mariadbGtid: 162,
  mariadbGtidList: 163,
  mariadbStartEncryption: 164,
  mariadbQueryCompressed: 165,
  mariadbWriteRowsCompressedV1: 166,
  mariadbUpdateRowsCompressedV1: 167,
  mariadbDeleteRowsCompressedV1: 168,
  mariadbWriteRowsCompressed: 169,
  mariadbUpdateRowsCompressed: 170,
  mariadbDeleteRowsCompressed: 171,
} as const;

/** How an event holds rows. */
export interface RowsForm {
  readonly change: 'insert' | 'update' | 'delete';
  /** Version 2 has extra data before the columns, with a length of its own. */
  readonly hasExtra: boolean;
  /** By log_bin_compress: only the images are compressed, not the fields before them. */
  readonly isCompressed: boolean;
  /** By binlog_row_value_options: each image after a change comes with options, and may hold JSON values as differences. */
  readonly isPartial: boolean;
}

const rowsForms = new Map<number, RowsForm>(
  (
    [
      [eventType.writeRowsV1, 'insert', false, false],
      [eventType.updateRowsV1, 'update', false, false],
      [eventType.deleteRowsV1, 'delete', false, false],
      [eventType.writeRows, 'insert', true, false],
      [eventType.updateRows, 'update', true, false],
      [eventType.deleteRows, 'delete', true, false],
      [eventType.partialUpdateRows, 'update', true, false],
      [eventType.mariadbWriteRowsCompressedV1, 'insert', false, true],
      [eventType.mariadbUpdateRowsCompressedV1, 'update', false, true],
      [eventType.mariadbDeleteRowsCompressedV1, 'delete', false, true],
      [eventType.mariadbWriteRowsCompressed, 'insert', true, true],
      [eventType.mariadbUpdateRowsCompressed, 'update', true, true],
      [eventType.mariadbDeleteRowsCompressed, 'delete', true, true],
    ] as const
  ).map(([type, change, hasExtra, isCompressed]) => [
    type,
    { change, hasExtra, isCompressed, isPartial: type === eventType.partialUpdateRows },
  ]),
);

/** Undefined: the event holds no rows. */
export function rowsFormOf(type: number): RowsForm | undefined {
  return rowsForms.get(type);
}

/** Bytes of the common header of every event since MySQL 4.1. */
export const headerLength = 19;
/** Offset of the type in the header. */
export const typeAt = 4;
/** Bytes of the CRC32 after an event, if the file has checksums. */
export const checksumLength = 4;

/** The server created the event for this connection, and no file has it: it moves no position. */
const artificialFlag = 0x20;
/** A reader may skip the event if it does not know the type. */
const ignorableFlag = 0x80;

export interface EventHeader {
  /** Seconds since 1970 by the source's clock. */
  readonly timestamp: number;
  readonly type: number;
  readonly serverId: number;
  /** Bytes of the complete event: header, body and checksum. */
  readonly length: number;
  /** Low 32 bits of the end position of the event in its file. 0 where MariaDB omits it (inside transactions). */
  readonly endPosition: number;
  readonly artificial: boolean;
  readonly ignorable: boolean;
}

/** Raises RangeError if the event ends before its header. */
export function readEventHeader(event: Buffer): EventHeader {
  const flags = event.readUInt16LE(17);
  return {
    timestamp: event.readUInt32LE(0),
    type: event.readUInt8(typeAt),
    serverId: event.readUInt32LE(5),
    length: event.readUInt32LE(9),
    endPosition: event.readUInt32LE(13),
    artificial: (flags & artificialFlag) !== 0,
    ignorable: (flags & ignorableFlag) !== 0,
  };
}
