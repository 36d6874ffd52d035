import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, type Page, chromium } from 'playwright-core';
import { cachedFolder } from './servers/cache.ts';
import { findProgram } from './servers/command.ts';
import { debianRoot } from './servers/debian.ts';

/**
 * A headless Chromium: the one that CHROMIUM_PATH names, the one on this machine, or Debian's, unpacked into the cache. Its
 * sandbox is off because it needs privileges that a container lacks; the browser opens only our page.
 */
export async function launchBrowser(): Promise<Browser> {
  const path =
    process.env['CHROMIUM_PATH'] ??
    (await findProgram(['chromium', 'chromium-browser', 'google-chrome'])) ??
    (await fetchedChromium());
  return await chromium.launch({ executablePath: path, chromiumSandbox: false });
}

/** A script that runs the unpacked Chromium with the libraries and fonts of its packages. */
async function fetchedChromium(): Promise<string> {
  const root = await debianRoot('bookworm', ['chromium', 'fonts-liberation']);
  const folder = await cachedFolder('chromium-of-debian', async (partial) => {
    const libraries = join(root, 'usr/lib', process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu');
    // The script finds fonts.conf beside itself, because the folder is renamed when it is complete.
    const script = [
      '#!/bin/sh',
      `export LD_LIBRARY_PATH=${libraries}:${libraries}/pulseaudio`,
      'export FONTCONFIG_FILE="$(dirname "$0")/fonts.conf"',
      `exec ${join(root, 'usr/lib/chromium/chromium')} "$@"`,
    ];
    await writeFile(join(partial, 'chromium'), `${script.join('\n')}\n`);
    await chmod(join(partial, 'chromium'), 0o755);
    // Every requested font resolves to this one; only the text of a page matters here.
    const font =
      '<match target="pattern"><edit name="family" mode="prepend" binding="strong"><string>Liberation Sans</string></edit></match>';
    await writeFile(
      join(partial, 'fonts.conf'),
      `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>${root}/usr/share/fonts</dir>${font}</fontconfig>`,
    );
  });
  return join(folder, 'chromium');
}

/**
 * Collects what a page must not do: log errors or warnings, throw, or send requests to another origin. The list fills as they
 * happen.
 */
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
