import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedFolder, exists } from './cache.ts';
import { findProgram, runCommand } from './command.ts';

/**
 * Debian packages and all their dependencies, unpacked into a private root of the cache. Nothing is installed: apt gets its own
 * lists, cache and status, no maintainer script runs, and no privilege is needed.
 */
export async function debianRoot(suite: string, packages: readonly string[]): Promise<string> {
  return await cachedFolder(`debian-${suite}-${packages.join('-')}`, async (root) => {
    if ((await findProgram(['apt-get'])) === null || (await findProgram(['dpkg-deb'])) === null)
      throw new Error('fetching Debian packages needs apt-get and dpkg-deb');
    process.stderr.write(`fetching ${packages.join(', ')} of Debian ${suite} into .cache (once) …\n`);
    const apt = join(root, '.apt');
    const config = await aptConfiguration(apt, suite);
    const env = { ...process.env, APT_CONFIG: config };
    await runCommand('apt-get', ['-qq', 'update'], { env });
    await runCommand('apt-get', ['-qq', '-y', '--download-only', 'install', ...packages], { env });
    // Create the merged layout first: some packages ship /lib, others /usr/lib.
    for (const folder of ['lib', 'lib64', 'bin', 'sbin']) {
      await mkdir(join(root, 'usr', folder), { recursive: true });
      await symlink(`usr/${folder}`, join(root, folder));
    }
    const archives = join(apt, 'cache', 'archives');
    for (const file of await readdir(archives)) if (file.endsWith('.deb')) await unpack(join(archives, file), root);
    await runCommand('rm', ['-rf', apt]);
  });
}

/** The argv prefix that runs a program of such a root with the root's loader and libraries, independently of the system's. */
export async function programOf(root: string, program: string): Promise<string[]> {
  const multiarch = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const loader = process.arch === 'arm64' ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2';
  const libraries = join(root, 'usr/lib', multiarch);
  const candidates = [join(libraries, loader), join(root, 'usr/lib64', loader), join(root, 'usr/lib', loader)];
  for (const candidate of candidates)
    if (await exists(candidate))
      return [
        candidate,
        '--library-path',
        `${libraries}:${join(root, 'usr/lib')}:${libraries}/private`,
        join(root, program),
      ];
  throw new Error(`no dynamic loader in ${root}`);
}

async function aptConfiguration(apt: string, suite: string): Promise<string> {
  for (const folder of ['state/lists/partial', 'cache/archives/partial'])
    await mkdir(join(apt, folder), { recursive: true });
  // This prints what apt would fetch without fetching it. It works before the first update, when there are no lists yet.
  const uris = await runCommand('apt-get', ['update', '--print-uris']);
  const base = uris
    .split('\n')
    .map((line) => /^'(.*\/)debian\/dists\//.exec(line)?.[1])
    .find((uri) => uri !== undefined);
  if (base === undefined) throw new Error("this system's apt names no Debian mirror");
  const signed = '[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]';
  const sources = [`deb ${signed} ${base}debian ${suite} main`];
  if (suite !== 'sid') sources.push(`deb ${signed} ${base}debian-security ${suite}-security main`);
  await writeFile(join(apt, 'sources.list'), `${sources.join('\n')}\n`);
  // Packages that only maintainer scripts and helper programs need count as installed.
  const architecture = (await runCommand('dpkg', ['--print-architecture'])).trim();
  const pretended = ['perl', 'perl-base', 'debconf', 'dpkg', 'tar'].map(
    (name) =>
      `Package: ${name}\nStatus: install ok installed\nVersion: 9999\nArchitecture: ${architecture}\nMulti-Arch: allowed\nMaintainer: none\nDescription: none\n`,
  );
  await writeFile(join(apt, 'status'), `${pretended.join('\n')}\n`);
  const settings: Record<string, string> = {
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::main': '/dev/null',
    'Dir::Etc::parts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State': join(apt, 'state'),
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': join(apt, 'cache'),
    'Acquire::Languages': 'none',
    'Acquire::Check-Valid-Until': 'false',
    'Acquire::Retries': '3',
    'APT::Sandbox::User': 'root',
    'APT::Install-Recommends': 'false',
    'APT::Keep-Downloaded-Packages': 'true',
    'Binary::apt-get::APT::Keep-Downloaded-Packages': 'true',
  };
  const file = join(apt, 'apt.conf');
  await writeFile(
    file,
    Object.entries(settings)
      .map(([key, value]) => `${key} "${value}";\n`)
      .join(''),
  );
  return file;
}

async function unpack(archive: string, root: string): Promise<void> {
  const tar = `dpkg-deb --fsys-tarfile "$1" | tar -x --no-same-owner --keep-directory-symlink -C "$2" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*'`;
  await runCommand('/bin/bash', ['-o', 'pipefail', '-c', tar, 'unpack', archive, root]);
}
