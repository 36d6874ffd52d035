import type { TargetConfig } from '../../config/config.ts';
import { quoteIdentifier } from '../rows/tables.ts';

/** The statements that create the target role, with … for its password. The role creates its schemas and tables itself. */
export function targetRoleSql({ user, database }: TargetConfig): string[] {
  const role = quoteIdentifier(user.user);
  return [
    `create role ${role} login password '…';`,
    `grant connect, create on database ${quoteIdentifier(database)} to ${role};`,
  ];
}
