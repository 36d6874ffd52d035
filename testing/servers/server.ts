interface Server {
  readonly host: string;
  readonly port: number;
  /** An account that may do everything: it makes databases and accounts, and is never given to Tidegate. */
  readonly user: string;
  readonly password: string;
  readonly origin: 'url' | 'machine' | 'container' | 'fetched';
  readonly pid?: number;
  stop(): Promise<void>;
}

/** A MySQL or MariaDB server to play the clinic's. Its binlog is on, in row format with full images. */
export interface SourceServer extends Server {
  readonly flavor: 'mariadb' | 'mysql';
  /** Major and minor, as '10.11'. */
  readonly version: string;
  /** How to run the server's own command-line client, where there is one. */
  readonly clientCommand?: string[];
}

/** A PostgreSQL server to copy into. */
export interface TargetServer extends Server {
  /** Major version, as '15'. */
  readonly version: string;
  /** How to run psql, where there is one. */
  readonly psqlCommand?: string[];
}
