import type { Migration } from 'kysely/migration';
import { up as controlSchema } from './0001-control-schema.ts';
import { up as deadLetters } from './0002-dead-letters.ts';
import { up as controls } from './0003-controls.ts';
import { up as appendOnlyEvents } from './0004-append-only-events.ts';
import { up as jobs } from './0005-jobs.ts';
import { up as refresh } from './0006-refresh.ts';
import { up as sourceDatabase } from './0007-source-database.ts';
import { up as releasedTables } from './0008-released-tables.ts';
import { up as fileBegan } from './0009-file-began.ts';

/** Every migration by name, in order. A static list: what is not in here does not run, whatever files lie about. */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-control-schema': { up: controlSchema },
  '0002-dead-letters': { up: deadLetters },
  '0003-controls': { up: controls },
  '0004-append-only-events': { up: appendOnlyEvents },
  '0005-jobs': { up: jobs },
  '0006-refresh': { up: refresh },
  '0007-source-database': { up: sourceDatabase },
  '0008-released-tables': { up: releasedTables },
  '0009-file-began': { up: fileBegan },
};
