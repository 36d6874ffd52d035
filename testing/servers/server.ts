interface Server {
  readonly host: string;
  readonly port: number;
  /** An account with all privileges, which creates databases and accounts. It is never given to Tidegate. */
  readonly user: string;
  readonly password: string;
  readonly origin: 'url' | 'machine' | 'container' | 'fetched';
  readonly pid?: number;
  stop(): Promise<void>;
  /**
   * Ends the server with `signal` and starts it again on the same data and port. `meanwhile` may change the files in its folder. Only a local
   * process has it.
   */
  restart?(signal: NodeJS.Signals, meanwhile?: (folder: string) => Promise<void>): Promise<void>;
}

/** A MySQL or MariaDB server that acts as the clinic's server. Its binlog is on, in row format with full images. */
export interface SourceServer extends Server {
  readonly flavor: 'mariadb' | 'mysql';
  /** Major and minor version, for example '10.11'. */
  readonly version: string;
  /** The command of the server's command-line client, if there is one. */
  readonly clientCommand?: string[];
}

/** A PostgreSQL server that is the target. */
export interface TargetServer extends Server {
  /** Major version, for example '15'. */
  readonly version: string;
  /** The command of psql, if there is one. */
  readonly psqlCommand?: string[];
}

/** Ends the server with `signal` and starts it again. It must have been started with `asProcess`. */
export async function restart({ restart }: Server, signal: NodeJS.Signals): Promise<void> {
  if (restart === undefined) throw new Error('only a server that is a process of this machine can be started again');
  await restart(signal);
}
