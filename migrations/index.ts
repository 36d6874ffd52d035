import type { Migration } from 'kysely/migration';
import { up as controlTables } from './replica/0001-control-tables.ts';
import { up as tableLife } from './replica/0002-table-life.ts';
import { up as fence } from './replica/0003-fence.ts';
import { up as history } from './replica/0004-history.ts';
import { up as leftOut } from './replica/0005-left-out.ts';
import { up as controlSchema } from './shared/0001-control-schema.ts';
import { up as deadLetters } from './shared/0002-dead-letters.ts';
import { up as controls } from './shared/0003-controls.ts';
import { up as appendOnlyEvents } from './shared/0004-append-only-events.ts';
import { up as jobs } from './shared/0005-jobs.ts';
import { up as refresh } from './shared/0006-refresh.ts';
import { up as sourceDatabase } from './shared/0007-source-database.ts';
import { up as releasedTables } from './shared/0008-released-tables.ts';
import { up as fileBegan } from './shared/0009-file-began.ts';
import { up as schemaPerReplica } from './shared/0010-schema-per-replica.ts';

/**
 * Migrations of the schema `tidegate`, by name, in order. The list is static: no other file in the folder runs. The first nine created
 * the control schema of version 0.1. The tenth moves each of its replicas into a schema of its own. A program of 0.1 stops when it finds
 * that name.
 */
export const sharedMigrations: Readonly<Record<string, Migration>> = {
  '0001-control-schema': { up: controlSchema },
  '0002-dead-letters': { up: deadLetters },
  '0003-controls': { up: controls },
  '0004-append-only-events': { up: appendOnlyEvents },
  '0005-jobs': { up: jobs },
  '0006-refresh': { up: refresh },
  '0007-source-database': { up: sourceDatabase },
  '0008-released-tables': { up: releasedTables },
  '0009-file-began': { up: fileBegan },
  '0010-schema-per-replica': { up: schemaPerReplica },
};

/** Migrations of the control schema of one replica, by name, in order. */
export function replicaMigrations(schema: string): Readonly<Record<string, Migration>> {
  return {
    '0001-control-tables': { up: async (db) => await controlTables(db, schema) },
    '0002-table-life': { up: async (db) => await tableLife(db, schema) },
    '0003-fence': { up: async (db) => await fence(db, schema) },
    '0004-history': { up: async (db) => await history(db, schema) },
    '0005-left-out': { up: async (db) => await leftOut(db, schema) },
  };
}
