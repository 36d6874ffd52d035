import ZongJi, { type AnyBinlogEvent } from '@vlasky/zongji';

/**
 * Runs zongji by itself, in a separate process. It decodes every row of one binlog range with all columns and prints
 * `{"rows", "milliseconds"}`, timed from the first row event to the last. The catch-up bench uses it as its yardstick.
 *
 * node bench/zongji-alone.ts HOST PORT USER PASSWORD FILE POSITION ROWS SERVER_ID
 */
const [host = '', port, user = '', password = '', filename = '', position, wanted, serverId] = process.argv.slice(2);
const zongji = new ZongJi({ host, port: Number(port), user, password, dateStrings: true });
let rows = 0;
let startedAt: number | undefined;

zongji.on('error', (error: Error) => {
  process.stderr.write(`zongji: ${error.name}\n`);
  process.exit(1);
});
zongji.on('binlog', (event: AnyBinlogEvent) => {
  if (!('rows' in event)) return;
  startedAt ??= performance.now();
  rows += event.rows.length;
  if (rows < Number(wanted)) return;
  process.stdout.write(`${JSON.stringify({ rows, milliseconds: performance.now() - startedAt })}\n`, () =>
    process.exit(0),
  );
});
zongji.start({
  serverId: Number(serverId),
  filename,
  position: Number(position),
  includeEvents: ['tablemap', 'writerows', 'updaterows', 'deleterows', 'xid', 'rotate', 'query', 'mariadbgtid'],
});
