/** By lower-case name, as in all sets here. */
const crashSafe = new Set(['innodb', 'rocksdb', 'tokudb']);

/**
 * Whether a crash of the server leaves the rows as the binlog has them. MyISAM and others keep rows of statements that the binlog lacks, and
 * may lose rows that it has.
 */
export function isCrashSafe(engine: string): boolean {
  return crashSafe.has(engine.toLowerCase());
}

/** HEAP and MARIA are the old names of MEMORY and Aria. */
const keepers = new Set(['innodb', 'myisam', 'aria', 'maria', 'memory', 'heap', 'archive', 'csv', 'rocksdb', 'tokudb']);

/**
 * Whether an engine stores the rows of its tables itself. Then the binlog has every change of them under the table's name. MERGE shows rows
 * of other tables. FEDERATED, CONNECT and SPIDER show rows of other servers and files. BLACKHOLE stores none.
 */
export function keepsItsRows(engine: string): boolean {
  return keepers.has(engine.toLowerCase());
}
