import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'dotenv';
import fc from 'fast-check';
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

  it('raises an error with the path of a file that cannot be read', () => {
    expect(() => addEnvFile({}, folder)).toThrow(
      expect.objectContaining({
        message: `${folder} cannot be read (EISDIR)`,
        hint: expect.stringContaining('It is a folder') as string,
      }) as Error,
    );
  });

  it('names doubled settings and lines that are none, without their text', () => {
    writeFileSync(
      file,
      'A=1\n# B\n\ncanary\r\nexport A = "x\ncanary = 2\ny" # A=3\nB: 2\n=canary\nexport canary\nB=2\n',
    );
    expect(addEnvFile({}, file)).toEqual(
      [
        'A is in lines 1 and 5: keep one',
        'B is in lines 8 and 11: keep one',
        ...[4, 9, 10].map(
          (line) => `line ${line} is not NAME=value: correct it, or begin it with # to keep it as a comment`,
        ),
      ].map((problem) => `${file}: ${problem}`),
    );
    writeFileSync(file, readFileSync(new URL('../../.env.template', import.meta.url)));
    expect(addEnvFile({}, file)).toEqual([]);
  });

  it('finds the names that dotenv finds', () => {
    const piece = fc.constantFrom(
      ...['A', 'B', '=', ':', ' ', '\n', '#', "'", '"', '`', 'export ', '-', '.', '\\', '\t'],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const text = `X=1\n${pieces.join('')}`;
        // A name that stands behind the others is doubled if dotenv finds it, too.
        for (const name of ['A', 'B', 'A-', 'A.B']) {
          writeFileSync(file, text);
          const before = addEnvFile({}, file).filter((problem) => problem.includes(`: ${name} is in lines`)).length;
          const isFound = name in parse(text);
          writeFileSync(file, `${name}=0\n${text}`);
          const after = addEnvFile({}, file).filter((problem) => problem.includes(`: ${name} is in lines`)).length;
          expect([text, name, after > before]).toEqual([text, name, isFound]);
        }
      }),
    );
  });
});
