import type { Connection } from 'mysql2/promise';
import type { SourceServer, TargetServer } from '../../../testing/servers/server.ts';

import type { Finding } from '../../../src/errors/finding.ts';
import type { SourceConfig } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load-config.ts';
import { checkReaderGrants, checkReplicatorGrants } from '../../../src/mysql/grants/check-grants.ts';
import { SourceConnection } from '../../../src/mysql/connection.ts';
import { readEffectiveRights, readGrants } from '../../../src/mysql/grants/read-grants.ts';
import { type Replica, createReplica } from '../../../testing/replica.ts';
import { type PrivilegeCase, privilegeCases, promised } from './privilege-cases.ts';
import { Scope } from '../../../src/lifetime/scope.ts';

const roles = ['reader', 'replicator'] as const;

export interface ForbiddenResult {
  /** The number of accounts judged: privilege × scope × way × user. */
  readonly judged: number;
  readonly refused: number;
  /** Cases where the check did not report what it promises, or its remedy takes rights away. */
  readonly wrong: readonly string[];
}

/** The findings of `check` about the grants of one user. */
export async function findingsOf(source: SourceConfig, flavor: 'mariadb' | 'mysql', role: 'reader' | 'replicator') {
  const connection = await SourceConnection.open(new Scope(), source, role);
  try {
    const grants = await readGrants(connection, flavor);
    const effective = await readEffectiveRights(connection, source.database);
    const context = { source, server: connection.version ?? { flavor, major: 0, minor: 0 } };
    return role === 'reader'
      ? checkReaderGrants(grants, context, effective)
      : checkReplicatorGrants(grants, context, effective);
  } finally {
    await connection.close();
  }
}

/** Grants each privilege to each user separately, in each way, and takes it away again. */
export async function judgeForbiddenGrants(source: SourceServer, target: TargetServer): Promise<ForbiddenResult> {
  const replica = await createReplica(source, target);
  const admin = await replica.sourceAdmin();
  try {
    await admin.query('create table patient (PatNum bigint not null primary key, LName varchar(100)) engine=InnoDB');
    await admin.query('create procedure chore() select 1');
    const cases = await privilegeCases(admin, replica.database);
    const trial = new Trial(replica, source.flavor, admin);
    for (const one of cases) await trial.judge(one, 'itself');
    if (await trial.makeRole()) for (const one of cases) await trial.judge(one, 'a role');
    if (await hasPublic(admin)) for (const one of cases.filter(isPrinted)) await trial.judge(one, 'PUBLIC');
    await trial.judgeRoles();
    return trial;
  } finally {
    admin.destroy();
    await replica.drop();
  }
}

/** The servers do not print a grant of only GRANT OPTION on everything to PUBLIC, so no check can see it. */
function isPrinted({ privilege, level }: PrivilegeCase): boolean {
  return privilege !== 'GRANT OPTION' || level !== 'everything';
}

/** MariaDB since 10.11 has PUBLIC; elsewhere the word has no meaning or names an account. */
async function hasPublic(admin: Connection): Promise<boolean> {
  try {
    await admin.query('show grants for public');
    return true;
  } catch {
    return false;
  }
}

class Trial implements ForbiddenResult {
  judged = 0;
  refused = 0;
  readonly wrong: string[] = [];
  readonly #source: SourceConfig;
  readonly #flavor: 'mariadb' | 'mysql';
  readonly #admin: Connection;
  readonly #role: string;

  constructor(replica: Replica, flavor: 'mariadb' | 'mysql', admin: Connection) {
    this.#source = loadConfig({ ...replica.env }).source;
    this.#flavor = flavor;
    this.#admin = admin;
    this.#role = `role_${replica.database}`.slice(0, 30);
  }

  /** Returns false if the server has no roles. */
  async makeRole(): Promise<boolean> {
    try {
      await this.#admin.query(`create role ${this.#role}`);
      return true;
    } catch (error) {
      if ((error as { errno?: number }).errno === 1064) return false;
      throw error;
    }
  }

  async judge(one: PrivilegeCase, through: 'itself' | 'a role' | 'PUBLIC'): Promise<void> {
    // PROXY cannot be granted through a role or through PUBLIC.
    if (one.level === 'an account' && through !== 'itself') return;
    for (const role of roles) {
      const account = this.#account(role);
      const grantee = through === 'itself' ? account : through === 'PUBLIC' ? 'public' : this.#role;
      await this.#admin.query(one.grant(grantee));
      if (through === 'a role') await this.#admin.query(`grant ${grantee} to ${account}`);
      const expected = promised(role, one, through);
      const found = await findingsOf(this.#source, this.#flavor, role);
      this.judged++;
      if (expected === 'error') this.refused++;
      this.#compare(one, role, through, expected, found);
      this.#harmless(one.privilege, found);
      await this.#tidy(one, through, grantee, role);
    }
  }

  /** A role may be granted through another, be active from the login on, or be granted to everybody. */
  async judgeRoles(): Promise<void> {
    const [one, other] = [`one_${this.#role}`, `other_${this.#role}`].map((name) => name.slice(0, 30));
    const account = this.#account('reader');
    const isMysql = this.#flavor === 'mysql';
    try {
      await this.#admin.query(`create role ${one}`);
    } catch {
      return;
    }
    await this.#admin.query(`create role ${other}`);
    await this.#admin.query(`grant insert on *.* to ${other}`);
    await this.#admin.query(`grant ${other} to ${one}`);
    const ways = [
      [`grant ${one} to ${account}`],
      [`grant ${one} to ${account}`, `set default role ${one} ${isMysql ? 'to' : 'for'} ${account}`],
      [`grant ${other} to ${account}`, `set default role ${other} ${isMysql ? 'to' : 'for'} ${account}`],
      ...((await hasPublic(this.#admin)) ? [[`grant ${one} to public`]] : []),
    ];
    for (const way of ways) {
      for (const sql of way) await this.#admin.query(sql);
      this.#harmless(way.join('; '), await this.#judgeRole(way.join('; ')));
      for (const sql of way) if (sql.startsWith('grant')) await this.#admin.query(revoked(sql));
      await this.#reset('reader');
    }
    if (isMysql) {
      await this.#admin.query(`set global mandatory_roles = '${one}'`);
      await this.#judgeRole('mandatory_roles');
      await this.#admin.query(`set global mandatory_roles = ''`);
    }
    for (const role of [one, other]) await this.#admin.query(`drop role ${role}`);
  }

  async #judgeRole(way: string): Promise<Finding[]> {
    const found = await findingsOf(this.#source, this.#flavor, 'reader');
    this.judged++;
    this.refused++;
    if (!found.some(({ level, message }) => level === 'error' && message.includes('INSERT')))
      this.wrong.push(`INSERT by ${way}: not refused`);
    return found;
  }

  async #tidy(one: PrivilegeCase, through: string, grantee: string, role: 'reader' | 'replicator'): Promise<void> {
    if (through === 'a role') {
      await this.#admin.query(`drop role ${grantee}`);
      await this.#admin.query(`create role ${grantee}`);
    } else if (through === 'PUBLIC' || one.privilege === 'PROXY') await this.#admin.query(revoked(one.grant(grantee)));
    await this.#reset(role);
  }

  /** Leaves the account with the rights of its role alone. */
  async #reset(role: 'reader' | 'replicator'): Promise<void> {
    const account = this.#account(role);
    await this.#admin.query(`revoke all privileges, grant option from ${account}`);
    const database = this.#source.database.replaceAll('_', String.raw`\_`);
    await this.#admin.query(
      role === 'reader'
        ? `grant select on \`${database}\`.* to ${account}`
        : `grant replication slave, replication client on *.* to ${account}`,
    );
  }

  #compare(
    one: PrivilegeCase,
    role: 'reader' | 'replicator',
    through: string,
    expected: Finding['level'] | null,
    found: readonly Finding[],
  ): void {
    const levels = [...new Set(found.map(({ level }) => level))];
    // ALL PRIVILEGES is reported as many privileges.
    const named = found.every(({ message }) => one.privilege === 'ALL PRIVILEGES' || message.includes(one.privilege));
    if (expected === null ? levels.length > 0 : levels.join() !== expected || !named)
      this.wrong.push(
        `${role} with ${one.privilege} on ${one.level} through ${through}: ${expected} expected, found ${found.map(({ level, message }) => `${level}: ${message}`).join('; ')}`,
      );
  }

  /** No remedy takes a right away: the account may be one that people use. */
  #harmless(what: string, found: readonly Finding[]): void {
    for (const { remedy = '' } of found)
      if (
        !/give Tidegate an account of its own: |ask the administrator/.test(remedy) ||
        /revoke|delete|drop/i.test(remedy)
      )
        this.wrong.push(`${what}: ${remedy}`);
  }

  #account(role: 'reader' | 'replicator'): string {
    return `${this.#source[role].user}@'%'`;
  }
}

/** The statement that takes back what this one grants. */
function revoked(grant: string): string {
  return grant.replace('grant', 'revoke').replace(/ to (?!.* to )/, ' from ');
}
