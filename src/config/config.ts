import type { SnapshotWindow } from './snapshot-window.ts';
import type { RulePattern } from './column-rules.ts';

/** The validated settings. They contain the secrets, so nothing prints a Config. */
export interface Config {
  readonly environment: 'development' | 'production';
  readonly source: SourceConfig;
  readonly target: TargetConfig;
  readonly tables: {
    readonly include: readonly string[];
    readonly exclude: readonly string[];
    /** Tables in which a row that cannot be replicated stops everything instead of becoming a dead letter. */
    readonly halt: readonly string[];
    /** Tables without a key that get a full refresh again and again. */
    readonly refresh: readonly string[];
  };
  /** In the order of the setting: the first entry that matches a column wins. */
  readonly columnRules: readonly RulePattern[];
  /** Concurrent snapshot connections to the source; each reads one table. */
  readonly snapshotConnections: number;
  /** When a snapshot may read; null: always. */
  readonly snapshotWindow: SnapshotWindow | null;
  /** While so many statements of others work at the source, nothing is read there. */
  readonly sourceBusyAt: number;
  /** Whether a service resyncs by itself after its source has lost binlog that was applied or is needed. */
  readonly resync: 'ask' | 'auto';
  readonly refreshEveryMinutes: number;
  /** How often the service compares each table with the source by itself; null: never. */
  readonly verifyEveryHours: number | null;
  /** Where status and metrics are served; null: nowhere. */
  readonly listen: ListenConfig | null;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  /** Variables that look like settings and are none, in words. */
  readonly unknown: readonly string[];
}

export interface ListenConfig {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** The secret that a client must send; null: none, which is allowed on loopback only. */
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
  /** The replica id that this instance announces. It must be unique among all readers of this source's binlog. */
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
  /** PEM text of the authorities to trust; undefined: the authorities of the system. */
  readonly ca: string | undefined;
}
