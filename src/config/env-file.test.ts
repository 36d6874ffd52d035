import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { addEnvFile } from './env-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'tidegate-env-file-'));
const file = join(folder, '.env');
const text = "SOURCE_DB_HOST=in the file\nTARGET_DB_PASSWORD='pass#wörd'\n";

afterAll(() => rmSync(folder, { recursive: true }));

describe('addEnvFile', () => {
  it('keeps existing variables and accepts a missing file', () => {
    const environment = { SOURCE_DB_HOST: 'set before' };
    addEnvFile(environment, join(folder, 'none'));
    expect(environment).toEqual({ SOURCE_DB_HOST: 'set before' });
    writeFileSync(file, text);
    addEnvFile(environment, file);
    expect(environment).toEqual({ SOURCE_DB_HOST: 'set before', TARGET_DB_PASSWORD: 'pass#wörd' });
  });

  it('ignores a byte order mark', () => {
    writeFileSync(file, `\uFEFF${text}`);
    const environment: NodeJS.ProcessEnv = {};
    addEnvFile(environment, file);
    expect(environment['SOURCE_DB_HOST']).toBe('in the file');
  });

  it.each([
    ['UTF-16', Buffer.from(`\uFEFF${text}`, 'utf16le')],
    ['UTF-16 without a mark', Buffer.from('A=1\n', 'utf16le')],
    ['UTF-16, the other way round', Buffer.from(`\uFEFF${text}`, 'utf16le').swap16()],
    ['Latin-1', Buffer.from(text, 'latin1')],
  ])('refuses a file in %s, names the right encoding, and sets nothing from it', (_, bytes) => {
    writeFileSync(file, bytes);
    const environment: NodeJS.ProcessEnv = {};
    expect(() => addEnvFile(environment, file)).toThrow(
      expect.objectContaining({ kind: 'config', message: expect.stringContaining('is not UTF-8') as string }) as Error,
    );
    expect(environment).toEqual({});
  });

  it('raises an error for a file that cannot be read', () => {
    expect(() => addEnvFile({}, folder)).toThrow('cannot be read (EISDIR)');
  });
});
