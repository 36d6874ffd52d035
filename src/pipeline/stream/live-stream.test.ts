import { describe, expect, it } from 'vitest';
import { ChangeBatch } from '../../change/change-batch.ts';
import { LiveStream } from './live-stream.ts';

const at = (offset: number) => ({ file: 'b.000001', offset, gtid: null });

describe('the place of the target', () => {
  it('is not one that a transaction still stands open behind', () => {
    const live = new LiveStream(at(100), () => undefined);
    const part = new ChangeBatch();
    part.end = { position: at(200), committedAt: null };
    part.open = true;
    live.applied(part);
    expect(live.position).toEqual(at(100));
    const last = new ChangeBatch();
    last.end = { position: at(300), committedAt: null };
    live.applied(last);
    expect(live.position).toEqual(at(300));
  });
});
