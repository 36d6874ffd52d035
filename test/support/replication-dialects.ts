/** Statements that make one server follow another by GTID. */
export const dialects = {
  mariadb: {
    follow: (host: string, port: number) =>
      `change master to master_host = '${host}', master_port = ${port}, master_user = 'follower', master_password = 'follower', master_use_gtid = slave_pos`,
    start: 'start slave',
    stop: 'stop slave',
    applied: 'select @@global.gtid_binlog_pos as gtid',
    wait: 'select master_gtid_wait(?, 30)',
  },
  mysql: {
    follow: (host: string, port: number) =>
      `change replication source to source_host = '${host}', source_port = ${port}, source_user = 'follower', source_password = 'follower', source_auto_position = 1, get_source_public_key = 1`,
    start: 'start replica',
    stop: 'stop replica',
    applied: 'select @@global.gtid_executed as gtid',
    wait: 'select wait_for_executed_gtid_set(?, 30)',
  },
} as const;
