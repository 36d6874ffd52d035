import { describe, expect, it } from 'vitest';
import { checkBinlogFilters, checkReceivedChanges, checkSettings } from './check-settings.ts';

const good = {
  version: '8.0.36',
  log_bin: 'ON',
  binlog_format: 'ROW',
  binlog_row_image: 'FULL',
  server_id: '7',
  binlog_transaction_compression: 'OFF',
  binlog_row_value_options: '',
  binlog_expire_logs_seconds: '2592000',
};
const check = (changes: Readonly<Record<string, string>>, flavor: 'mariadb' | 'mysql' = 'mysql') =>
  checkSettings(new Map(Object.entries({ ...good, ...changes })), flavor, 84_330_001);

describe('checkSettings', () => {
  it('is content with full row images', () => {
    expect(check({})).toMatchObject([{ level: 'ok' }]);
  });

  it.each([
    [{ log_bin: 'OFF' }, 'log_bin = binlog'],
    [{ binlog_format: 'STATEMENT' }, 'binlog_format = ROW'],
    [{ binlog_row_image: 'NOBLOB' }, 'binlog_row_image = FULL'],
    [{ server_id: '0' }, 'server_id = 1'],
    [{ server_id: '84330001' }, 'SOURCE_SERVER_ID'],
    [{ binlog_row_value_options: 'PARTIAL_JSON' }, "binlog_row_value_options = ''"],
  ])('%j is an error with its remedy', (changes, remedy) => {
    const [finding, ...rest] = check(changes);
    expect(finding?.level).toBe('error');
    expect(finding?.remedy).toContain(remedy);
    expect(rest).toEqual([]);
  });

  it('is content with compressed transactions', () => {
    expect(check({ binlog_transaction_compression: 'ON' })).toMatchObject([{ level: 'ok' }]);
  });

  it('reports everything at once', () => {
    expect(check({ log_bin: 'OFF', binlog_format: 'MIXED', server_id: '0' })).toHaveLength(3);
  });

  it('treats a missing variable of an old server as its default', () => {
    const old = new Map([
      ['log_bin', 'ON'],
      ['binlog_format', 'ROW'],
      ['server_id', '1'],
    ]);
    expect(checkSettings(old, 'mysql', 2)).toMatchObject([{ level: 'ok' }]);
  });

  it.each([
    [{ binlog_expire_logs_seconds: '3600' }, 'binlog_expire_logs_seconds = 604800'],
    [{ binlog_expire_logs_seconds: '0', expire_logs_days: '0.5' }, 'set global'],
    [{ sync_binlog: '0' }, 'sync_binlog = 1'],
    [{ sync_binlog: '1000' }, 'set global sync_binlog = 1;'],
    [{ binlog_checksum: 'NONE' }, 'set global binlog_checksum = CRC32;'],
  ])('warns of %j', (changes, remedy) => {
    expect(check(changes)).toMatchObject([
      { level: 'warning', remedy: expect.stringContaining(remedy) },
      { level: 'ok' },
    ]);
  });

  it.each([
    { binlog_expire_logs_seconds: '0', expire_logs_days: '0.000000' },
    { binlog_expire_logs_seconds: '0', expire_logs_days: '7' },
    { binlog_expire_logs_seconds: '60', binlog_expire_logs_auto_purge: 'OFF' },
  ])('does not warn when %j', (changes) => {
    expect(check(changes)).toMatchObject([{ level: 'ok' }]);
  });
});

describe('checkBinlogFilters', () => {
  it.each([
    [{}, 0],
    [{ Binlog_Do_DB: '', Binlog_Ignore_DB: '' }, 0],
    [{ Binlog_Do_DB: 'other,Clinic', Binlog_Ignore_DB: '' }, 0],
    [{ Binlog_Do_DB: 'other', Binlog_Ignore_DB: '' }, 1],
    [{ Binlog_Do_DB: '', Binlog_Ignore_DB: 'mysql,clinic' }, 1],
    [{ Binlog_Do_DB: '', Binlog_Ignore_DB: 'mysql' }, 0],
  ])('%j: %i errors', (status, errors) => {
    expect(checkBinlogFilters(status, 'clinic')).toHaveLength(errors);
  });
});

describe('checkReceivedChanges', () => {
  it.each([
    ['OFF', 'OFF', 0],
    ['OFF', 'ON', 1],
    ['ON', 'ON', 0],
  ])('log_slave_updates %s, slave_running %s: %i errors', (logs, running, errors) => {
    expect(
      checkReceivedChanges(new Map([['log_slave_updates', logs]]), new Map([['slave_running', running]])),
    ).toHaveLength(errors);
  });
});
