import type { TargetConfig } from '../../config/config.ts';
import { quoteIdentifier } from '../rows/tables.ts';

/** The statements that create the target role, with a placeholder for its password: without quotes it is a syntax error. The role creates its schemas and tables itself. */
export function targetRoleSql({ user, database }: TargetConfig): string[] {
  const role = quoteIdentifier(user.user);
  return [
    `create role ${role} login password <TARGET_DB_PASSWORD>;`,
    `grant connect, create on database ${quoteIdentifier(database)} to ${role};`,
  ];
}
