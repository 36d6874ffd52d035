/** By lower-case name, HEAP and MARIA being what MEMORY and Aria were called before. */
const keepers = new Set(['innodb', 'myisam', 'aria', 'maria', 'memory', 'heap', 'archive', 'csv', 'rocksdb', 'tokudb']);

/**
 * Whether an engine keeps the rows of its tables itself, so that every change of them is in the binlog under the table's name.
 * MERGE shows those of other tables, FEDERATED, CONNECT and SPIDER those of other servers and files, and BLACKHOLE keeps none.
 */
export function keepsItsRows(engine: string): boolean {
  return keepers.has(engine.toLowerCase());
}
