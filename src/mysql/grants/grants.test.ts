import { describe, expect, it } from 'vitest';
import type { AccountContext } from './account-sql.ts';
import { checkReaderGrants, checkReplicatorGrants } from './check-grants.ts';
import { type Grant, parseGrants, reaches } from './grants.ts';

// As the servers printed them; hashes are invented.
const hash = `IDENTIFIED BY PASSWORD '*0000000000000000000000000000000000000CA7'`;
const printed = {
  'MySQL 5.6': ["GRANT USAGE ON *.* TO 'rd'@'%' IDENTIFIED BY PASSWORD", "GRANT SELECT ON `clinic\\_a`.* TO 'rd'@'%'"],
  'MySQL 9.7': ['GRANT USAGE ON *.* TO `rd`@`%`', 'GRANT SELECT ON `clinic\\_a`.* TO `rd`@`%`'],
  'MariaDB 10.5': [`GRANT USAGE ON *.* TO \`rd\`@\`%\` ${hash}`, 'GRANT SELECT ON `clinic\\_a`.* TO `rd`@`%`'],
  'MariaDB 11.8': [
    `GRANT USAGE ON *.* TO \`rd\`@\`%\` ${hash}`,
    'GRANT SELECT ON `clinic\\_a`.* TO `rd`@`%`',
    'GRANT SELECT ON `test`.* TO PUBLIC',
  ],
};

const on = (database: string | null): Grant => ({ privileges: [], scope: '', database, grantee: '' });
const context = (database = 'clinic_a'): AccountContext => ({
  source: { database, tls: { mode: 'disable', ca: undefined } },
  server: { flavor: 'mariadb', major: 10, minor: 11 },
});
const reader = (...lines: string[]) => checkReaderGrants(parseGrants(lines), context(), ['select']);
const replicator = (...lines: string[]) => checkReplicatorGrants(parseGrants(lines), context(), []);
const ownReader =
  "leave `rd`@`%` as it is and give Tidegate an account of its own: set session sql_mode = 'no_auto_create_user'; " +
  'create user `tidegate_reader`@`%` identified by <SOURCE_DB_READONLY_PASSWORD>; grant select on `clinic\\_a`.* to `tidegate_reader`@`%`; ' +
  'Then set SOURCE_DB_READONLY_USER=tidegate_reader and its SOURCE_DB_READONLY_PASSWORD.';

describe('parseGrants', () => {
  it.each(Object.entries(printed))('reads %s and keeps no password', (_, lines) => {
    const { account, grants, roles } = parseGrants(lines);
    expect(account).toMatch(/^[`']rd[`']@[`']%[`']$/);
    expect(grants[1]).toMatchObject({ privileges: ['SELECT'], database: String.raw`clinic\_a`, grantee: account });
    expect(roles).toEqual([]);
    expect(JSON.stringify(grants)).not.toContain('CA7');
  });

  it('keeps who holds what: the account, its roles, everybody', () => {
    const { account, grants, roles } = parseGrants([
      'GRANT `looker`, `o``clock` TO `rolly`@`%`',
      `GRANT USAGE ON *.* TO \`rolly\`@\`%\` ${hash}`,
      'GRANT SELECT, INSERT ON `clinic_a`.* TO `looker`',
      'GRANT SELECT ON `test`.* TO PUBLIC',
      'SET DEFAULT ROLE `looker` FOR `rolly`@`%`',
    ]);
    expect([account, ...grants.map(({ grantee }) => grantee)]).toEqual([
      '`rolly`@`%`',
      '`rolly`@`%`',
      '`looker`',
      'PUBLIC',
    ]);
    expect(roles.map(({ role, holder }) => [role, holder])).toEqual([
      ['`looker`', '`rolly`@`%`'],
      ['`o``clock`', '`rolly`@`%`'],
    ]);
    expect(parseGrants(['GRANT `a`@`%`,`b`@`10.%` TO `u`@`%` WITH ADMIN OPTION']).roles).toEqual([
      { role: '`a`@`%`', holder: '`u`@`%`', admin: true },
      { role: '`b`@`10.%`', holder: '`u`@`%`', admin: true },
    ]);
  });

  it('reads column lists, grant options, routines and proxies', () => {
    const { grants } = parseGrants([
      'GRANT SELECT (`a`, `b`), REFERENCES (`a`), DELETE ON `clinic_a`.`t` TO `u`@`%` WITH MAX_QUERIES_PER_HOUR 5 GRANT OPTION',
      'GRANT EXECUTE ON PROCEDURE `clinic_a`.`p` TO `u`@`%`',
      'GRANT PROXY ON ``@`%` TO `u`@`%` WITH GRANT OPTION',
      'GRANT BACKUP_ADMIN,CLONE_ADMIN ON *.* TO `u`@`%`',
    ]);
    expect(grants.map(({ privileges }) => privileges)).toEqual([
      ['SELECT (`a`, `b`)', 'REFERENCES (`a`)', 'DELETE', 'GRANT OPTION'],
      ['EXECUTE'],
      ['PROXY', 'GRANT OPTION'],
      ['BACKUP_ADMIN', 'CLONE_ADMIN'],
    ]);
    expect(grants[1]).toMatchObject({ database: 'clinic_a', scope: 'PROCEDURE `clinic_a`.`p`' });
    expect(grants[2]?.database).toBeNull();
    expect(grants[3]?.database).toBeNull();
  });

  it('is not misled by names that look like grammar', () => {
    const { grants } = parseGrants([
      'GRANT SELECT (`a ON b`, `c) TO d`), UPDATE (`e`) ON `x TO y`.`t ON u` TO `v TO w`@`%`',
      'GRANT SELECT (a ON b), UPDATE (e) ON `clinic_a`.`t` TO `u`@`%`',
    ]);
    expect(grants).toEqual([
      {
        privileges: ['SELECT (`a ON b`, `c) TO d`)', 'UPDATE (`e`)'],
        scope: '`x TO y`.`t ON u`',
        database: 'x TO y',
        grantee: '`v TO w`@`%`',
      },
      {
        privileges: ['SELECT (a ON b)', 'UPDATE (e)'],
        scope: '`clinic_a`.`t`',
        database: 'clinic_a',
        grantee: '`u`@`%`',
      },
    ]);
  });

  it('counts the grants that it cannot read, and no other lines', () => {
    const lines = ['GRANT EVERYTHING', 'SET DEFAULT ROLE `r` FOR `u`@`%`', 'REVOKE INSERT ON `a`.* FROM `u`@`%`'];
    expect(parseGrants(lines)).toMatchObject({ grants: [], roles: [], unread: 1 });
  });
});

describe('reaches', () => {
  it.each([
    [null, 'clinic_a', true],
    ['clinic_a', 'clinic_a', true],
    ['clinic_a', 'clinicXa', true],
    [String.raw`clinic\_a`, 'clinicXa', false],
    [String.raw`clinic\_a`, 'CLINIC_A', true],
    ['clinic%', 'clinic_a', true],
    ['test', 'clinic_a', false],
    ['c.inic_a', 'clinic_a', false],
  ])('%s reaches %s: %s', (pattern, database, does) => {
    expect(reaches(on(pattern), database)).toBe(does);
  });
});

describe('checkReaderGrants', () => {
  it.each(Object.entries(printed))('is content with SELECT on %s', (_, lines) => {
    expect(reader(...lines)).toEqual([]);
  });

  it('refuses privileges to write to the database, and takes none away: it prints an account of its own', () => {
    expect(reader('GRANT SELECT, INSERT, UPDATE (`b`) ON `clinic_%`.* TO `rd`@`%` WITH GRANT OPTION')).toMatchObject([
      { level: 'error', message: expect.stringContaining('INSERT, UPDATE (`b`), GRANT OPTION'), remedy: ownReader },
    ]);
  });

  it('names the account of its own anew where the account has that name already', () => {
    const lines = ['GRANT SELECT, INSERT ON `clinic\\_a`.* TO `tidegate_reader`@`10.0.0.5`'];
    expect(reader(...lines)[0]?.remedy).toContain('create user `tidegate_reader2`@`10.0.0.5` identified by <');
  });

  it('gives an account that is to be replaced no further rights', () => {
    expect(reader('GRANT INSERT ON `clinic\\_a`.* TO `rd`@`%`').map(({ remedy }) => remedy)).toEqual([
      ownReader,
      ownReader,
    ]);
  });

  it('warns about reading elsewhere, and about rights of everybody in test databases', () => {
    expect(reader('GRANT SELECT, SHOW DATABASES ON *.* TO `rd`@`%`')).toMatchObject([{ level: 'warning' }]);
    const select = 'GRANT SELECT ON `clinic\\_a`.* TO `rd`@`%`';
    expect(reader(select, 'GRANT SELECT, INSERT ON `test`.* TO PUBLIC')).toMatchObject([
      { level: 'warning', remedy: expect.stringContaining('ask the administrator of the source') },
    ]);
    expect(reader(select, 'GRANT INSERT ON `test\\_%`.* TO PUBLIC')).toMatchObject([{ level: 'warning' }]);
    expect(reader(select, 'GRANT SELECT ON `other`.* TO PUBLIC')).toEqual([]);
  });

  it('refuses writing elsewhere on the same server, and in a test database that is the replicated one', () => {
    const select = 'GRANT SELECT ON `clinic\\_a`.* TO `rd`@`%`';
    expect(reader(select, 'GRANT INSERT ON `other`.* TO `rd`@`%`')).toMatchObject([{ level: 'error' }]);
    expect(reader(select, 'GRANT INSERT ON `test`.* TO `rd`@`%`')).toMatchObject([{ level: 'error' }]);
    expect(reader(select, 'GRANT INSERT ON `other`.* TO PUBLIC')).toMatchObject([{ level: 'error' }]);
    const lines = ['GRANT SELECT ON `test\\_clinic`.* TO `rd`@`%`', 'GRANT INSERT ON `test\\_%`.* TO PUBLIC'];
    expect(checkReaderGrants(parseGrants(lines), context('test_clinic'), ['select'])).toMatchObject([
      { level: 'error' },
    ]);
  });

  it('refuses proxy accounts, admin options of roles, and unknown privileges', () => {
    const select = 'GRANT SELECT ON `clinic\\_a`.* TO `rd`@`%`';
    expect(reader(select, 'GRANT PROXY ON `root`@`localhost` TO `rd`@`%`')).toMatchObject([
      { level: 'error', remedy: ownReader },
    ]);
    expect(reader(select, 'GRANT `looker` TO `rd`@`%` WITH ADMIN OPTION')).toMatchObject([
      { level: 'error', remedy: ownReader },
    ]);
    expect(reader(select, 'GRANT NEW_ADMIN ON *.* TO `rd`@`%`')).toMatchObject([{ level: 'error' }]);
    expect(reader(select, 'GRANT EVERYTHING')).toMatchObject([{ level: 'error' }]);
  });

  it('trusts the server where it reports more rights than the grants show', () => {
    const grants = parseGrants(['GRANT SELECT ON `test`.* TO `rd`@`%`']);
    const [finding] = checkReaderGrants(grants, context('test'), ['insert', 'select', 'update']);
    expect(finding).toMatchObject({ level: 'error', message: expect.stringContaining('INSERT, UPDATE') as string });
  });

  it('finds privileges that are held through roles', () => {
    const lines = [
      'GRANT USAGE ON *.* TO `rd`@`%`',
      'GRANT `looker` TO `rd`@`%`',
      'GRANT SELECT, INSERT ON `clinic_a`.* TO `looker`',
    ];
    const [finding, ...rest] = reader(...lines);
    expect(finding).toMatchObject({ level: 'error', remedy: ownReader });
    expect(finding?.message).toContain('through role `looker`');
    expect(rest).toEqual([]);
    // Everybody has the outer role, so a new account would have it, too.
    const nested = [
      'GRANT `outer` TO PUBLIC',
      'GRANT `looker` TO `outer`',
      ...lines.filter((line) => !/`looker` TO/.test(line)),
    ];
    expect(reader(...nested)[0]?.remedy).toContain('ask the administrator of the source');
  });

  it('is not content with some columns or with another database', () => {
    expect(reader('GRANT SELECT (`a`) ON `clinic_a`.`t` TO `rd`@`%`').map(({ remedy }) => remedy)).toEqual([
      'grant select on `clinic\\_a`.* to `rd`@`%`;',
      'grant select on `clinic_a`.`t` to `rd`@`%`;',
    ]);
    expect(reader('GRANT SELECT ON `other`.* TO `rd`@`%`')).toMatchObject([{ level: 'error' }, { level: 'warning' }]);
    const all = 'GRANT SELECT ON `clinic\\_a`.* TO `rd`@`%`';
    const one = 'GRANT SELECT ON `clinic_a`.`t` TO `rd`@`%`';
    expect(reader(one)).toMatchObject([{ level: 'warning', remedy: 'grant select on `clinic\\_a`.* to `rd`@`%`;' }]);
    expect(reader(one)[0]?.message).toContain('sees only some tables');
    expect(reader(one, all)).toEqual([]);
    expect(reader(all, 'GRANT SELECT (`a`) ON `clinic_a`.`t` TO `rd`@`%`')).toEqual([]);
  });
});

describe('checkReplicatorGrants', () => {
  it('is content with both names of both privileges', () => {
    expect(replicator('GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `rp`@`%`')).toEqual([]);
    expect(replicator(`GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO \`rp\`@\`%\` ${hash}`)).toEqual([]);
  });

  it('names each missing privilege', () => {
    expect(replicator('GRANT USAGE ON *.* TO `rp`@`%`').map(({ remedy }) => remedy)).toEqual([
      'grant replication slave on *.* to `rp`@`%`;',
      'grant replication client on *.* to `rp`@`%`;',
    ]);
  });

  it('refuses everything else, reading included', () => {
    const needed = 'GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `rp`@`%`';
    expect(replicator(needed, 'GRANT SELECT ON `clinic_a`.* TO `rp`@`%`')).toMatchObject([{ level: 'error' }]);
    expect(replicator(needed, 'GRANT SELECT ON `clinic_a`.* TO PUBLIC')).toMatchObject([{ level: 'error' }]);
    expect(replicator(needed, 'GRANT SELECT ON `other`.* TO PUBLIC')).toEqual([]);
    expect(replicator(needed, 'GRANT DELETE ON `clinic_a`.* TO `rp`@`%`')).toMatchObject([{ level: 'error' }]);
    expect(replicator(needed, 'GRANT DELETE ON `other`.* TO `rp`@`%`')).toMatchObject([{ level: 'error' }]);
    expect(replicator(needed, 'GRANT DELETE ON `test`.* TO PUBLIC')).toMatchObject([{ level: 'warning' }]);
    expect(replicator('GRANT SUPER, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO `rp`@`%`')).toMatchObject([
      {
        level: 'error',
        remedy: expect.stringContaining(
          'create user `tidegate_binlog`@`%` identified by <SOURCE_DB_REPLICATION_PASSWORD>; grant replication slave, binlog monitor on *.* to `tidegate_binlog`@`%`;',
        ) as string,
      },
    ]);
  });
});
