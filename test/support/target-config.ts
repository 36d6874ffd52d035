import type { TargetConfig } from '../../src/config/config.ts';

/** The target that a replica's environment names, for what is called without a program around it. */
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
