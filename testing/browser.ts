import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, type Page, chromium } from 'playwright-core';
import { cachedFolder } from './servers/cache.ts';
import { findProgram } from './servers/command.ts';
import { debianRoot } from './servers/debian.ts';

/**
 * A headless Chromium: the one that CHROMIUM_PATH names, the machine's, or Debian's, unpacked into the cache. Its own sandbox is
 * off: it would need privileges that a container has not, and it is shown nothing but our page.
 */
export async function launchBrowser(): Promise<Browser> {
  const path =
    process.env['CHROMIUM_PATH'] ??
    (await findProgram(['chromium', 'chromium-browser', 'google-chrome'])) ??
    (await fetchedChromium());
  return await chromium.launch({ executablePath: path, chromiumSandbox: false });
}

/** A script that runs the unpacked one with the libraries and fonts it came with. */
async function fetchedChromium(): Promise<string> {
  const root = await debianRoot('bookworm', ['chromium', 'fonts-liberation']);
  const folder = await cachedFolder('chromium-of-debian', async (partial) => {
    const libraries = join(root, 'usr/lib', process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');
    // Next to itself in the end, whatever the folder is called until then.
    const script = [
      '#!/bin/sh',
      `export LD_LIBRARY_PATH=${libraries}:${libraries}/pulseaudio`,
      'export FONTCONFIG_FILE="$(dirname "$0")/fonts.conf"',
      `exec ${join(root, 'usr/lib/chromium/chromium')} "$@"`,
    ];
    await writeFile(join(partial, 'chromium'), `${script.join('\n')}\n`);
    await chmod(join(partial, 'chromium'), 0o755);
    // Whatever font is asked for; what a page says is what counts here.
    const font =
      '<match target="pattern"><edit name="family" mode="prepend" binding="strong"><string>Liberation Sans</string></edit></match>';
    await writeFile(
      join(partial, 'fonts.conf'),
      `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>${root}/usr/share/fonts</dir>${font}</fontconfig>`,
    );
  });
  return join(folder, 'chromium');
}

/** What a page must not do: complain, break, or ask anybody else for anything. Filled as it happens. */
export function complaintsOf(page: Page, origin: string): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith('data:')) complaints.push(`asked ${url}`);
  });
  return complaints;
}
