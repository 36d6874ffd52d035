/** By lower-case name. HEAP and MARIA are the old names of MEMORY and Aria. */
const keepers = new Set(['innodb', 'myisam', 'aria', 'maria', 'memory', 'heap', 'archive', 'csv', 'rocksdb', 'tokudb']);

/**
 * Whether an engine stores the rows of its tables itself. Then the binlog has every change of them under the table's name. MERGE shows rows
 * of other tables. FEDERATED, CONNECT and SPIDER show rows of other servers and files. BLACKHOLE stores none.
 */
export function keepsItsRows(engine: string): boolean {
  return keepers.has(engine.toLowerCase());
}
