import { expect, it } from 'vitest';
import { readCascades } from './foreign-keys.ts';

const create = (...keys: readonly string[]) =>
  [
    'CREATE TABLE `child` (',
    '  `id` int NOT NULL,',
    "  `foreign` int COMMENT 'FOREIGN KEY on delete cascade',",
    ...keys.map((key) => `  ${key},`),
    '  PRIMARY KEY (`id`)',
    ') ENGINE=InnoDB',
  ].join('\n');

it('finds the keys that change rows here when a row elsewhere changes', () => {
  const table = create(
    'CONSTRAINT `plain` FOREIGN KEY (`a`) REFERENCES `parent` (`id`)',
    'CONSTRAINT `strict` FOREIGN KEY (`a`) REFERENCES `parent` (`id`) ON DELETE RESTRICT ON UPDATE NO ACTION',
    'CONSTRAINT `both` FOREIGN KEY (`a`, `b`) REFERENCES `other db`.`parent` (`x`, `y`) ON DELETE CASCADE ON UPDATE CASCADE',
    'CONSTRAINT `emptied` FOREIGN KEY (`a`) REFERENCES `parent` (`id`) ON DELETE SET NULL',
    'CONSTRAINT `moved` FOREIGN KEY (`a`) REFERENCES `parent` (`id`) ON UPDATE CASCADE',
  );
  expect(readCascades(table)).toEqual([
    {
      constraint: 'both',
      parentDatabase: 'other db',
      parent: 'parent',
      columns: ['x', 'y'],
      onDelete: true,
      onUpdate: true,
    },
    { constraint: 'emptied', parentDatabase: null, parent: 'parent', columns: ['id'], onDelete: true, onUpdate: false },
    { constraint: 'moved', parentDatabase: null, parent: 'parent', columns: ['id'], onDelete: false, onUpdate: true },
  ]);
});

it('does not mistake a comment or a column for a key', () => {
  expect(readCascades(create())).toEqual([]);
});
