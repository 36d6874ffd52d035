import type { SnapshotWindow } from './snapshot-window.ts';
import type { RulePattern } from './column-rules.ts';

/** What Tidegate was told, after validation. Secrets stay in here: nothing prints a Config. */
export interface Config {
  readonly environment: 'development' | 'production';
  readonly source: SourceConfig;
  readonly target: TargetConfig;
  readonly tables: {
    readonly include: readonly string[];
    readonly exclude: readonly string[];
    /** Of these a row that cannot be carried stops everything, instead of becoming a dead letter. */
    readonly halt: readonly string[];
    /** Those without a key are copied as a whole, again and again. */
    readonly refresh: readonly string[];
  };
  /** In the order they were given: of those that match a column the first one counts. */
  readonly columnRules: readonly RulePattern[];
  /** Snapshot work at the same time: connections to the source, each reading one table. */
  readonly snapshotConnections: number;
  /** When a snapshot may read; null: always. */
  readonly snapshotWindow: SnapshotWindow | null;
  readonly refreshEveryMinutes: number;
  /** How often the service compares each table with the source by itself; null: never. */
  readonly verifyEveryHours: number | null;
  /** Where status and metrics are served; null: nowhere. */
  readonly listen: ListenConfig | null;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
}

export interface ListenConfig {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** What a client must know; null on loopback only: nothing. */
  readonly token: string | null;
}

export interface SourceConfig {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** SELECT on the replicated database, nothing else. */
  readonly reader: Credentials;
  /** REPLICATION SLAVE and the right to see positions, nothing else. */
  readonly replicator: Credentials;
  /** The replica id this instance announces; unique among everything that reads this source's binlog. */
  readonly serverId: number;
  readonly tls: TlsConfig;
}

export interface TargetConfig {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly schema: string;
  readonly user: Credentials;
  readonly tls: TlsConfig;
}

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface TlsConfig {
  readonly mode: 'verify-full' | 'verify-ca' | 'disable';
  /** PEM text of the authorities to trust; undefined = the system's. */
  readonly ca: string | undefined;
}
