import { describe, expect, it } from 'vitest';
import { ChangeBatch } from '../../change/change-batch.ts';
import { StreamView } from './stream-view.ts';

const at = (offset: number) => ({ file: 'b.000001', offset, gtid: null });

describe('the position of the target', () => {
  it('moves only when a transaction is complete', () => {
    const live = new StreamView(at(100), () => undefined);
    const part = ChangeBatch.continuing();
    part.end = { position: at(200), committedAt: null };
    live.applied(part);
    expect(live.position).toEqual(at(100));
    const last = new ChangeBatch();
    last.end = { position: at(300), committedAt: null };
    live.applied(last);
    expect(live.position).toEqual(at(300));
  });
});

describe('work that waits for a position', () => {
  const never = new AbortController().signal;
  const merge = async () => await Promise.resolve(0);

  it('stops waiting when its signal aborts, and then does not run', async () => {
    const live = new StreamView(at(100), () => undefined);
    const leaving = new AbortController();
    const turns: string[] = [];
    const turn = (name: string) => async () => await Promise.resolve(void turns.push(name));
    const left = live.at(at(200), turn('left'), leaving.signal);
    const stayed = live.at(at(200), turn('stayed'), never);
    leaving.abort(new Error('enough'));
    await expect(left).rejects.toThrow('enough');
    const batch = new ChangeBatch();
    batch.end = { position: at(200), committedAt: null };
    live.applied(batch);
    await live.rest(merge);
    await stayed;
    expect(turns).toEqual(['stayed']);
  });

  it('runs to its end once it has started', async () => {
    const live = new StreamView(at(100), () => undefined);
    const leaving = new AbortController();
    const { promise: goesOn, resolve: goOn } = Promise.withResolvers<string>();
    const done = live.at(at(100), async () => await goesOn, leaving.signal);
    const resting = live.rest(merge);
    leaving.abort(new Error('too late'));
    goOn('done');
    await resting;
    expect(await done).toBe('done');
  });
});
