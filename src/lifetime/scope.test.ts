import { expect, test } from 'vitest';
import { type Closable, Scope, inPart } from './scope.ts';

/** Something to own, with a record of what was done to it. */
function thing(): Closable & { readonly did: string[] } {
  const did: string[] = [];
  return {
    did,
    destroy: () => did.push('destroyed'),
    close: async () => await Promise.resolve(void did.push('closed')),
  };
}

const reason = new Error('stop');

test('a stop reaches every part, also one that is made later, and destroys nothing', () => {
  const scope = new Scope();
  const before = scope.child().child();
  const owned = thing();
  before.own(owned);
  scope.stop(reason);
  expect(before.signal.reason).toBe(reason);
  expect(scope.child().signal.reason).toBe(reason);
  expect(owned.did).toEqual([]);
});

test('a hang-up destroys what every part owns, and what it would own later', () => {
  const scope = new Scope();
  const part = scope.child();
  const [owned, late] = [thing(), thing()];
  part.own(owned);
  scope.hangUp(reason);
  part.own(late);
  expect([owned.did, late.did]).toEqual([['destroyed'], ['destroyed']]);
  expect(() => part.throwIfHungUp()).toThrow(reason);
  expect(() => scope.child().throwIfHungUp()).toThrow(reason);
});

test('a part that ends closes what it owns and leaves the rest of the scope alone', async () => {
  const scope = new Scope();
  const [ours, theirs] = [thing(), thing()];
  scope.own(theirs);
  await inPart(scope, async (part) => await Promise.resolve(part.own(ours)));
  expect([ours.did, theirs.did]).toEqual([['closed'], []]);
  scope.hangUp(reason);
  expect(ours.did).toEqual(['closed']);
  expect(theirs.did).toEqual(['destroyed']);
});

test('what was closed by itself is let go', () => {
  const scope = new Scope();
  const owned = thing();
  scope.own(owned);
  scope.disown(owned);
  scope.hangUp(reason);
  expect(owned.did).toEqual([]);
});

test('work that is drained longer than it may is hung up on, and work that ends in time is not', async () => {
  const scope = new Scope();
  const owned = thing();
  scope.own(owned);
  scope.drain(1, reason);
  expect(scope.signal.aborted).toBe(true);
  await expect.poll(() => owned.did).toEqual(['destroyed']);
  const other = new Scope();
  other.drain(1_000_000, reason);
  await other[Symbol.asyncDispose]();
  expect(other.isHungUp).toBe(false);
});

test('a silence is heard of in every scope above, until the last silent connection speaks again', () => {
  const scope = new Scope();
  const heard: (string | null)[] = [];
  scope.onSilence = (silence) => heard.push(silence?.side ?? null);
  const part = scope.child();
  const [source, target] = [{ side: 'source' }, { side: 'target' }] as const;
  part.silence(source, 'silent');
  scope.child().silence(target, 'silent');
  part.silence(source, 'speaking');
  part.silence(target, 'closed');
  part.silence(source, 'silent');
  part.silence(source, 'speaking');
  expect(heard).toEqual(['source', 'source', 'target', 'source', null]);
});
