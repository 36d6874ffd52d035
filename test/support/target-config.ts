import type { TargetConfig } from '../../src/config/config.ts';

/** The target configuration of a replica's environment, for functions that are called without the program. */
export function targetConfig(env: Readonly<Record<string, string>>): TargetConfig {
  return {
    host: env['TARGET_DB_HOST'] ?? '',
    port: Number(env['TARGET_DB_PORT']),
    database: env['TARGET_DB_NAME'] ?? '',
    schema: env['TARGET_DB_SCHEMA'] ?? 'raw',
    user: { user: env['TARGET_DB_USER'] ?? '', password: env['TARGET_DB_PASSWORD'] ?? '' },
    tls: { mode: 'disable', ca: undefined },
  };
}
