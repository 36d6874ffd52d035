import { expect, it } from 'vitest';
import { keysToColumns } from './copy-lines.ts';

it('reads keys back from their bytes', () => {
  const key = Buffer.from(String.raw`zoë\\n` + '\t42', 'utf8').toString('latin1');
  expect(keysToColumns([key], 2)).toEqual([[String.raw`zoë\n`], ['42']]);
});
